# mypy: ignore-errors
"""Read finished sums out of tiles, rows and lanes, in the order of the output."""

from tvm.script import tirx as T

from tvm_sparse.algorithms import pooled
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane


def storing(layer: Layer, plane: Plane, group_rows: int = 0, window: Layer | None = None):
    """Return the macro ``store(A, Y, row)``.

    Parameters
    ----------
    layer, plane
    group_rows : int
        Rows that each group of filters fills in A; 0 when a buffer `row` says where each filter is.
    window : Layer, optional
        Of max pooling: only its largest sum is stored, see `tvm_sparse.algorithms.pooled`.
    """
    group = layer.filters // layer.groups

    def row_of(o, row):
        if group_rows == 0:
            return T.Cast("int64", row[o])
        return o if group == group_rows else o // group * group_rows + o % group

    if window is not None:
        return pooled.storing(layer, plane, window, row_of)
    return (
        _store_matrix(layer, plane, row_of)
        if layer.op == "linear"
        else _store_image(layer, plane, row_of)
    )


def _store_image(layer, plane, row_of):
    batch, height, width = (T.int64(v) for v in layer.output)
    filters = T.int64(layer.filters)

    @T.macro
    def store(A, Y, row):
        for b, o, y, x in T.grid(batch, filters, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = A[
                    vb, plane.tile_of(vy, vx), row_of(vo, row), plane.lane_of(vy, vx)
                ]  # fmt: skip

    return store


def _store_matrix(layer, plane, row_of):
    filters, positions = T.int64(layer.filters), T.int64(layer.positions)

    @T.macro
    def store(A, Y, row):
        for o, x in T.grid(filters, positions):
            with T.sblock("store"):
                vo, vx = T.axis.remap("SS", [o, x])
                Y[vo, vx] = A[0, plane.tile_of(0, vx), row_of(vo, row), plane.lane_of(0, vx)]

    return store
