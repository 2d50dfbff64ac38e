"""Dense convolutions that store only the largest sum of each pooling window.

All sums of a filter wait in cache until they are pooled: a tile is the whole image, so that no
window lies in two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvm_sparse import cost
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel, by_channels, dense, register_tiles, tile_of
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_SHARE = 0.85  # of L2 that the image's packed input and a chunk's sums may take
_STRIDES = (1, 2)  # along the width, in which vectors of sums are read
_TAPS = 16  # of a window, all of them unrolled


def best(layer: Layer, window: Layer, target: Target) -> Kernel | None:
    """Return the best kernel of a convolution and its pooling, or None where two are better.

    Parameters
    ----------
    layer : Layer
    window : Layer
        Max pooling of the layer's output, as a depthwise layer.
    target : Target
    """
    if layer.depthwise or layer.pointwise or not supported(window):
        return None
    apart = dense(layer, target).seconds + by_channels(window, target).seconds
    found = min(kernels(layer, target), key=lambda kernel: kernel.seconds, default=None)
    return found if found is not None and found.seconds < apart else None


def supported(window: Layer) -> bool:
    """Whether sums can be read in vectors, and every window holds some of them."""
    begins = [pad < size for pad, size in zip(window.padding, window.kernel, strict=False)]
    ends = [
        (window.output[axis + 1] - 1) * window.stride[axis] - window.padding[axis]
        < window.input[axis + 1]
        for axis in (0, 1)
    ]
    plain = window.dilation == (1, 1) and window.stride[1] in _STRIDES
    return plain and window.taps <= _TAPS and all(begins + ends)


def kernels(layer: Layer, target: Target) -> Iterator[Kernel]:
    """Yield the kernels whose packed image and sums of a register tile's filters stay in L2."""
    plane = Plane(layer=layer, step=target.lanes, rows=layer.output[1])
    packed = plane.channel * layer.channels
    for filters in (1, 2, 4, 8):
        blocks = -(-layer.filters // layer.groups // filters) * layer.groups
        work = Work(blocks=blocks, taps=blocks * layer.taps, filters=filters, indexed=False)
        for _, vectors in register_tiles(filters, target, (filters,)):
            tile = tile_of(plane, work, filters, vectors, target, chunk=filters)
            sums = (tile.chunk or blocks * filters) * tile.span(plane.length)
            if (packed + sums) * 4 <= _SHARE * target.l2:
                seconds = cost.tile_seconds(plane, tile, work, target, target.cores)
                yield Kernel(tile=tile, plane=plane, seconds=seconds)
