# mypy: ignore-errors
"""The product over row blocks: each adds up its taps, positions in vector lanes."""

from tvm.script import tirx as T

from tvm_sparse.algorithms.read import reading
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile


def multiplying(
    layer: Layer,
    plane: Plane,
    tile: Tile,
    rows: RowBlocks,
    name: str = "product",
    key: str = "tvm_sparse.tile",
):
    """Return the macro ``multiply(A, source, values, offset, ptr)``: the product over row blocks.

    Parameters
    ----------
    layer, plane, tile, rows
        See `tvm_sparse.algorithms.positions.sparse`.
    name, key : str
        What the TIR block, and its annotation with the tile, are called.
    """
    block, blocks, taps = T.int64(rows.filters), T.int64(rows.blocks), T.int64(len(rows.taps))
    longest = T.int64(max(rows.longest, 1))
    batch, tiles, _ = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    group_rows = number // layer.groups
    (read, region), attrs = reading(layer, plane), {key: tile.annotation}

    @T.macro
    def multiply(A, source, values, offset, ptr):
        for b, t, o, i, k in T.grid(batch, tiles, number, lanes, longest):
            with T.sblock(name):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(
                    region(source, vb, vt, vo // group_rows),
                    values[0:taps, vo % block], offset[0:taps], ptr[0 : blocks + 1],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                if vk < ptr[vo // block + 1] - ptr[vo // block]:
                    A[vb, vt, vo, vi] = A[vb, vt, vo, vi] + values[
                        ptr[vo // block] + vk, vo % block
                    ] * read(
                        source,
                        vb,
                        vt,
                        vo // group_rows,
                        T.Cast("int64", offset[ptr[vo // block] + vk]),
                        vi,
                    )

    return multiply


def grid(layer: Layer, plane: Plane):
    """Return batch, tiles and groups as TIR integers."""
    batch = 1 if layer.op == "linear" else layer.input[0]
    return T.int64(batch), T.int64(plane.tiles), T.int64(layer.groups)
