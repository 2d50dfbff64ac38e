"""Layers of every kind that kernels meet."""

from __future__ import annotations

from tvm_sparse.layer import Layer


def conv(weight: tuple[int, ...], size: tuple[int, ...], **window: object) -> Layer:
    return Layer(op="conv2d", weight=weight, input=size, **window)  # type: ignore[arg-type]


LAYERS = {
    "ragged 3×3": conv((10, 7, 3, 3), (1, 9, 11), padding=(1, 1, 1, 1)),
    "unequal padding, stride 2, batch 2": conv(
        (13, 6, 3, 3), (2, 9, 11), padding=(1, 2, 0, 1), stride=(2, 2)
    ),
    "three groups, dilation 2": conv(
        (12, 4, 3, 3), (1, 10, 10), groups=3, padding=(2, 2, 2, 2), dilation=(2, 2)
    ),
    "ragged groups 5×5": conv(
        (10, 5, 5, 5), (1, 17, 13), groups=2, stride=(2, 1), padding=(2, 2, 2, 2)
    ),
    "1×1, batch 3": conv((9, 20, 1, 1), (3, 7, 7)),
    "1×1 stride 2": conv((9, 20, 1, 1), (2, 9, 7), stride=(2, 2)),
    "7×7 stride 2": conv((8, 3, 7, 7), (1, 30, 30), padding=(3, 3, 3, 3), stride=(2, 2)),
    "stride 3, dilation 2": conv((5, 3, 3, 3), (1, 20, 20), stride=(3, 3), dilation=(2, 2)),
    "a single pixel": conv((4, 3, 1, 1), (1, 1, 1)),
    "wide rows": conv((8, 4, 3, 3), (1, 3, 150), padding=(1, 1, 1, 1)),
    "linear, one row": Layer(op="linear", weight=(40, 33), input=(1,)),
    "linear, nested rows": Layer(op="linear", weight=(40, 33), input=(3, 7)),
    "linear, many rows": Layer(op="linear", weight=(64, 48), input=(50,)),
}
