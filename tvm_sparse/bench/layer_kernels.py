"""The kernel of one layer, in int8 or in float32, with what it is called with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from tvm_sparse import choose, implement, implement_integer, integer_choice
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.quantization import ranges
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile
from tvm_sparse.words import BYTES

Array = npt.NDArray[Any]
NAME = "main"


@dataclass(frozen=True, kw_only=True)
class LayerKernel:
    """A kernel.

    Parameters
    ----------
    func : PrimFunc
    arrays : tuple of array
        What it is called with: random inputs, constants, and zeros for its output.
    stored : str
        How its weight is stored.
    macs : int
        Multiply-adds of bytes or floats on weights that are not zero.
    """

    func: Any
    arrays: tuple[Array, ...]
    stored: str
    macs: int

    def compiled(self, target: Target) -> Any:
        """Return the executable; its one function is `NAME`."""
        mod = tvm.IRModule({NAME: self.func.with_attr("global_symbol", NAME)})
        mod = tvm.transform.Sequential([ScheduleFunctions(target)])(mod)
        return tvm.compile(mod, target.to_tvm(), tir_pipeline=code_generation.NAME)


def int8(layer: Layer, weight: Array, target: Target) -> LayerKernel:
    """Return a layer's kernel from bytes to bytes, ReLU included.

    Parameters
    ----------
    layer : Layer
        Whose channels are whole words, see `tvm_sparse.words.objection`.
    weight : float32 array of the layer's weight's shape
    target : Target
    """
    numbers = integers(weight)
    return int8_as(integer_choice.choose(numbers, layer, target), numbers, weight)


def integers(weight: Array) -> Integers:
    """Return the numbers of a layer from bytes to bytes, ReLU included, with a weight of floats."""
    steps, scale = ranges.weights(weight)
    given = Bytes(scale=0.05, zero=0)
    return Integers(
        weight=steps,
        scale=scale,
        bias=np.zeros(len(steps)),
        data=given,
        output=given,
        low=0.0,
    )


def int8_as(choice: IntegerChoice, numbers: Integers, weight: Array) -> LayerKernel:
    """Return the kernel of a choice for the numbers of a weight."""
    layer = choice.layer
    words = replace(layer, weight=(-(-layer.filters // BYTES), -(-layer.channels // BYTES)))
    bound = implement_integer.implement(choice, numbers)
    return _kernel(bound, layer, words, "int32", str(choice.used), weight)


def float32(layer: Layer, weight: Array, target: Target) -> LayerKernel:
    """Return a layer's kernel from floats to floats; parameters as `int8`."""
    choice = choose.choose(layer, weight, target)
    shapes = replace(layer, weight=(layer.filters, layer.channels))
    rows = layer.op == "linear" and not isinstance(choice.kernel.tile, Tile)
    bound = implement.chosen(choice, weight)
    return _kernel(bound, layer, shapes, "float32", str(choice.used), weight, rows)


def _kernel(
    bound: Implementation,
    layer: Layer,
    shapes: Layer,
    dtype: str,
    stored: str,
    weight: Array,
    rows: bool = False,
) -> LayerKernel:
    """Return a kernel on random data; `shapes` has its output's and input's channels."""
    filters, channels = shapes.weight[:2]
    both: list[tuple[int, ...]] = []
    for number, at in ((channels, layer.input), (filters, layer.output)):
        if layer.op == "conv2d":
            both.append((at[0], number, *at[1:]))
        else:
            both.append((layer.positions, number) if rows else (number, layer.positions))
    data = np.random.default_rng(0).integers(0, 100, both[0]).astype(dtype)
    return LayerKernel(
        func=bound.func,
        arrays=(data, *bound.constants, np.zeros(both[1], dtype)),
        stored=stored,
        macs=int(np.count_nonzero(weight)) * layer.positions,
    )
