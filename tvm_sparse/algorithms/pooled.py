# mypy: ignore-errors
"""Store the largest sum of every pooling window, instead of the sums themselves.

The whole image is one tile, so that all sums of a filter wait in cache. Two blocks a row of
windows::

    down     D[x] = max over a window's rows of A[row, x], for all columns
    across   Y[x] = max over a window's columns of D[stride x + column]

Rows and columns of the padding repeat those at the edge, which stand in the same window.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.pack import copy_run
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane

_WIDTHS = (16, 8, 4, 1)  # floats of a vector of outputs


def storing(layer: Layer, plane: Plane, window: Layer, row_of):
    """Return the macro ``store(A, Y, row)``.

    Parameters
    ----------
    layer : Layer
    plane : Plane
        Of a single tile.
    window : Layer
        The pooling window, as a depthwise layer; its stride along the width is 1 or 2.
    row_of : function of (filter, row)
        The row of A that holds a filter's sums.
    """
    batch, out_h, out_w = (T.int64(v) for v in window.output)
    filters, lanes = T.int64(layer.filters), T.int64(plane.length)
    height, width = layer.output[1:]
    (kernel_h, kernel_w), (stride_h, stride_w) = window.kernel, window.stride
    top, left = window.padding[:2]
    size = T.int64((window.output[2] + (kernel_w - 1) // stride_w) * stride_w)
    inside = min(width, int(size) - left)

    def largest(A, b, start, x):
        rows = [T.max(T.min(start[1] - top + k, height - 1), 0) for k in range(kernel_h)]
        sums = [A[b, 0, start[0], row * plane.pitch + x] for row in rows]
        return _max(sums)

    rows_down, columns = copy_run(inside, largest), _columns(window)

    @T.macro
    def store(A, Y, row):
        D = T.sblock_alloc_buffer((batch, filters, out_h, size))
        for b, o, y, all in T.grid(batch, filters, out_h, T.int64(1)):
            with T.sblock("down"):
                vb, vo, vy, va = T.axis.remap("SSSS", [b, o, y, all])
                T.reads(A[vb, 0, row_of(vo, row), 0:lanes])
                T.writes(D[vb, vo, vy, va * size : va * size + size])
                rows_down(D, vb, vo, vy, left, A, (row_of(vo, row), vy * stride_h))
                for j in T.unroll(T.int64(left)):
                    D[vb, vo, vy, j] = D[vb, vo, vy, left]
                for j in T.unroll(size - left - inside):
                    D[vb, vo, vy, left + inside + j] = D[vb, vo, vy, left + inside - 1]
        for b, o, y, all in T.grid(batch, filters, out_h, T.int64(1)):
            with T.sblock("across"):
                vb, vo, vy, va = T.axis.remap("SSSS", [b, o, y, all])
                T.reads(D[vb, vo, vy, va * size : va * size + size])
                T.writes(Y[vb, vo, vy, va * out_w : va * out_w + out_w])
                columns(Y, D, vb, vo, vy)

    return store


def _columns(window: Layer):
    """Return a macro that writes a row of outputs; the last vector overlaps the one before it."""
    number, kernel, stride = window.output[2], window.kernel[1], window.stride[1]
    lanes = next(w for w in _WIDTHS if w <= number)
    whole, rest = number // lanes, number % lanes

    def at(D, b, o, y, x):
        taps = [x * stride + k // stride * stride for k in range(kernel)]
        return _max([_every(D, b, o, y, t, k % stride, stride) for k, t in enumerate(taps)])

    def _every(D, b, o, y, x, first, step):
        if lanes == 1:
            return D[b, o, y, x + first]
        loaded = D[b, o, y, T.Ramp(x, 1, step * lanes)]
        return T.Shuffle([loaded], list(range(first, step * lanes, step))) if step > 1 else loaded

    @T.macro
    def columns(Y, D, b, o, y):
        for i in T.unroll(T.int64(whole)):
            Y[b, o, y, T.Ramp(i * lanes, 1, lanes)] = at(D, b, o, y, i * lanes)
        if rest > 0:
            Y[b, o, y, T.Ramp(T.int64(number - lanes), 1, lanes)] = at(
                D, b, o, y, T.int64(number - lanes)
            )

    @T.macro
    def scalars(Y, D, b, o, y):
        for i in T.unroll(T.int64(number)):
            Y[b, o, y, i] = at(D, b, o, y, i)

    return columns if lanes > 1 else scalars


def _max(values):
    """Return the largest of some expressions."""
    largest, *others = values
    for value in others:
        largest = T.max(largest, value)
    return largest
