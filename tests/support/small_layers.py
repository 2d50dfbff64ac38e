"""A few small layers of each kind, for what runs kernels under emulation."""

from __future__ import annotations

from support.formats import blocks
from tvm_sparse import formats
from tvm_sparse.layer import Layer

LAYERS = {
    "3×3": Layer(op="conv2d", weight=(10, 7, 3, 3), input=(1, 9, 11), padding=(1, 1, 1, 1)),
    "groups, stride 2, batch 2": Layer(
        op="conv2d", weight=(12, 5, 3, 3), input=(2, 9, 11), groups=2, stride=(2, 2)
    ),
    "1×1": Layer(op="conv2d", weight=(12, 20, 1, 1), input=(1, 7, 7)),
    "rows": Layer(op="linear", weight=(40, 30), input=(3, 7)),
    "a row": Layer(op="linear", weight=(40, 30), input=(1,)),
}


def suited() -> list[tuple[str, str]]:
    """Formats, and the layers that each describes something on."""
    return [
        (name, which)
        for name in formats.names()
        for which, layer in LAYERS.items()
        if formats.get(name).suits(_part(layer), blocks(name)[0])
    ]


def _part(layer: Layer) -> tuple[int, ...]:
    return (layer.filters // layer.groups, *layer.weight[1:])
