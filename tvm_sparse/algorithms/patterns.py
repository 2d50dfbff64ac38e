# mypy: ignore-errors
"""Convolutions whose kernels keep their weights in one of a few patterns (PatDNN, ASPLOS 2020).

The blocks of `tvm_sparse.algorithms.positions`, with a product that has no index a weight::

    product  A[tile, filter, lane] = Σ over patterns, their kernels, their positions:
                                     weight × packed[the kernel's channel + shift of the position]

The kernels of a filter are sorted by pattern, so that the shifts of a pattern's positions are the
same for a whole list of kernels: nothing depends on the kernel but one channel.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.multiply import grid
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.algorithms.positions import shapes
from tvm_sparse.algorithms.store import storing
from tvm_sparse.formats.pattern import KernelPatterns
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile


def sparse(layer: Layer, plane: Plane, tile: Tile, found: KernelPatterns):
    """Return the algorithm over the live kernels of a weight.

    Parameters
    ----------
    layer, plane, tile
        What to compute, how its input is packed, and how its loops are cut.
    found : KernelPatterns
        The weights; only their sizes matter here.

    Returns
    -------
    PrimFunc
        Of (X, values (n, k) float32, channel (n,) int32, ptr (F, L + 1) int64,
        shift (L, k) int32, Y): `channel` is where a kernel's channel begins in the packed input.
    """
    x_shape, y_shape = shapes(layer)
    kernels, kept = (T.int64(size) for size in found.values.shape)
    patterns, filters = T.int64(len(found.library)), T.int64(layer.filters)
    longest = T.int64(max(found.longest, 1))
    batch, tiles, groups = grid(layer, plane)
    lanes, group_rows = T.int64(tile.span(plane.length)), filters // layer.groups
    space = T.int64(layer.weight[1] * plane.channel)
    pack, attrs = packing(layer, plane), tile.annotation
    store = storing(layer, plane, int(group_rows))

    @T.prim_func(s_tir=True, private=True)
    def pattern_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((kernels, kept), "float32"),
        channel: T.Buffer((kernels,), "int32"),
        ptr: T.Buffer((filters, patterns + 1), "int64"),
        shift: T.Buffer((patterns, kept), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        packed = T.sblock_alloc_buffer((batch, tiles, groups, space))
        A = T.sblock_alloc_buffer((batch, tiles, filters, lanes))
        pack(X, packed)
        for b, t, o, i, p, n, j in T.grid(batch, tiles, filters, lanes, patterns, longest, kept):
            with T.sblock("product"):
                vb, vt, vo, vi, vp, vn, vj = T.axis.remap("SSSSRRR", [b, t, o, i, p, n, j])
                T.reads(
                    packed[vb, vt, vo // group_rows, 0:space],
                    values[0:kernels, vj], channel[0:kernels], shift[vp, vj],
                    ptr[vo, vp : vp + 2],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                if vn < ptr[vo, vp + 1] - ptr[vo, vp]:
                    A[vb, vt, vo, vi] = (
                        A[vb, vt, vo, vi]
                        + values[ptr[vo, vp] + vn, vj]
                        * packed[
                            vb,
                            vt,
                            vo // group_rows,
                            T.Cast("int64", channel[ptr[vo, vp] + vn])
                            + T.Cast("int64", shift[vp, vj])
                            + vi,
                        ]
                    )
        store(A, Y, None)

    return pattern_product
