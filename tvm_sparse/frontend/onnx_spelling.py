"""Spell an ONNX graph out: other nodes in the place of some, with constants of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import onnx


class Speller(Protocol):
    """The nodes of a graph, as far as they are spelled out.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : list of onnx.TensorProto
        What the graph has to hold besides its own.
    """

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]

    def add(self, node: onnx.NodeProto) -> None:
        """Spell the next node out, or take it as it is."""


def spelled(model: onnx.ModelProto, make: Callable[[onnx.GraphProto], Speller]) -> onnx.ModelProto:
    """Return a model whose nodes went through a speller; the given one stays as it is."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    speller = make(found.graph)
    for node in model.graph.node:
        speller.add(node)
    del found.graph.node[:]
    found.graph.node.extend(speller.nodes)
    found.graph.initializer.extend(speller.constants)
    return found
