# mypy: ignore-errors
"""Stage the input of a workgroup's tile, chunk by chunk of channels; see `tvm_sparse.workgroup`."""

from tvm.script import tirx as T

from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup


def staging(layer: Layer, tile: Workgroup, empty, turned: bool = False):
    """Return the macro ``stage(X, S)`` of the block "stage".

    Parameters
    ----------
    layer, tile
    empty
        What stands beyond the input, of the input's type.
    turned : bool
        Whether the rows of a linear layer come as (channels, rows).
    """
    if layer.op == "linear":
        read = _reading_rows(layer, tile, empty, turned)
    else:
        read = _reading_image(layer, tile, empty)
    batch, down, across, chunks, space = sizes(layer, tile)

    @T.macro
    def stage(X, S):
        for b, y, x, c, q in T.grid(batch, down, across, chunks, space):
            with T.sblock("stage"):
                vb, vy, vx, vc, vq = T.axis.remap("SSSSS", [b, y, x, c, q])
                S[vb, vy, vx, vc, vq] = read(X, vb, vy, vx, vc, vq)

    return stage


def sizes(layer: Layer, tile: Workgroup):
    """Return batch, tiles down and across, chunks of all groups, and elements of a chunk."""
    batch = 1 if layer.op == "linear" else layer.input[0]
    chunks = tile.chunks(layer) * layer.groups
    return tuple(T.int64(n) for n in (batch, *tile.tiles(layer), chunks, tile.space(layer)))


def _reading_image(layer, tile, empty):
    high, wide = tile.region(layer)
    top, left, _, _ = layer.padding
    _, height, width = layer.input
    chunks, channels = tile.chunks(layer), layer.weight[1]

    def read(X, b, y, x, c, q):
        channel = (c % chunks if layer.groups > 1 else c) * tile.channels + q // (high * wide)
        group = c // chunks * channels if layer.groups > 1 else 0
        row = y * (tile.height * layer.stride[0]) + q // wide % high - top
        column = x * (tile.width * layer.stride[1]) + q % wide - left
        inside = T.And(T.And(row >= 0, row < height), T.And(column >= 0, column < width))
        inside = T.And(inside, channel < channels)
        return T.if_then_else(inside, X[b, group + channel, row, column], empty)

    return read


def _reading_rows(layer, tile, empty, turned):
    wide = tile.channels + 1

    def read(X, b, y, x, c, q):
        channel, row = c * tile.channels + q % wide, x * tile.width + q // wide
        inside = T.And(channel < layer.channels, row < layer.positions)
        where = (channel, row) if turned else (*_nested(layer, row), channel)
        return T.if_then_else(inside, X[where], empty)

    return read


def _nested(layer, row):
    """Return the indices of a row in the leading sizes of a linear layer, one of which counts."""
    lines = [size == layer.positions for size in layer.input]
    return tuple(row if i == lines.index(True) else 0 for i in range(len(lines)))
