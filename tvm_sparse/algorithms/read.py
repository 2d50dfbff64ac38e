# mypy: ignore-errors
"""Read a tap's input: from a packed tile, or where the network left it."""

from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane


def reading(layer: Layer, plane: Plane):
    """Return how a product reads its input.

    Returns
    -------
    read : function of (source, b, t, g, offset, i)
        The input of lane i of tile t at a tap's offset, see `Plane.offsets`.
    region : function of (source, b, t, g)
        All that the taps of group g may read for tile t.
    """
    if plane.in_place:
        return _in_place(layer, plane)

    def read(packed, b, t, g, offset, i):
        return packed[b, t, g, offset + i]

    def region(packed, b, t, g):
        return packed[b, t, g, 0 : layer.weight[1] * plane.channel]

    return read, region


def _in_place(layer, plane):
    channels, width = layer.weight[1], layer.input[-1]

    def read(X, b, t, g, channel, i):
        position = t * plane.run + i
        if layer.op == "linear":
            return X[channel, position]
        return X[b, g * channels + channel, position // width, position % width]

    def region(X, b, t, g):
        if layer.op == "linear":
            return X[0:channels, t * plane.run : (t + 1) * plane.run]
        return X[b, g * channels : (g + 1) * channels, 0 : layer.input[1], 0:width]

    return read, region
