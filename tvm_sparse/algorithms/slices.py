# mypy: ignore-errors
"""The product over row blocks in slices of channels, see `tvm_sparse.slices`.

Two blocks in the place of one::

    product  Q[tile, slice, row, lane] = Σ over the slice's taps: weight × packed[offset + lane]
    sum      A[tile, row, lane] = Σ over slices: Q[tile, slice, row, lane]
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.multiply import grid
from tvm_sparse.algorithms.read import reading
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile


def slicing(layer: Layer, plane: Plane, tile: Tile, rows: RowBlocks):
    """Return the macro ``multiply(A, source, values, offset, ptr)``: the product in slices.

    Parameters
    ----------
    layer, plane, tile, rows
        See `tvm_sparse.algorithms.positions.sparse`.
    """
    block, blocks, taps = T.int64(rows.filters), T.int64(rows.blocks), T.int64(len(rows.taps))
    longest, slices = T.int64(max(rows.longest, 1)), T.int64(rows.slices)
    batch, tiles, _ = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    group_rows = number // layer.groups
    (read, region), attrs = reading(layer, plane), tile.annotation

    @T.macro
    def multiply(A, source, values, offset, ptr):
        Q = T.sblock_alloc_buffer((batch, tiles, slices, number, lanes))
        for b, t, s, o, i, k in T.grid(batch, tiles, slices, number, lanes, longest):
            with T.sblock("product"):
                vb, vt, vs, vo, vi, vk = T.axis.remap("SSSSSR", [b, t, s, o, i, k])
                T.reads(
                    region(source, vb, vt, vo // group_rows),
                    values[0:taps, vo % block], offset[0:taps], ptr[0 : slices * blocks + 1],
                )  # fmt: skip
                T.writes(Q[vb, vt, vs, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    Q[vb, vt, vs, vo, vi] = T.float32(0)
                if vk < ptr[vs * blocks + vo // block + 1] - ptr[vs * blocks + vo // block]:
                    Q[vb, vt, vs, vo, vi] = Q[vb, vt, vs, vo, vi] + values[
                        ptr[vs * blocks + vo // block] + vk, vo % block
                    ] * read(
                        source,
                        vb,
                        vt,
                        vo // group_rows,
                        T.Cast("int64", offset[ptr[vs * blocks + vo // block] + vk]),
                        vi,
                    )
        for b, t, s, o, i in T.grid(batch, tiles, slices, number, lanes):
            with T.sblock("sum"):
                vb, vt, vs, vo, vi = T.axis.remap("SSRSS", [b, t, s, o, i])
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                A[vb, vt, vo, vi] = A[vb, vt, vo, vi] + Q[vb, vt, vs, vo, vi]

    return multiply
