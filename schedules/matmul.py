"""Products of two activations, such as attention's scores.

Before::

    for b, m, n, k: C[b, m, n] += A[b, m, k] * B[b, k, n]

After::

    for b_m in T.parallel(...):
        for tile of n:
            for k: rows × vectors multiply-adds in registers
            epilogue
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops

_VECTORS, _ROWS = 4, 8  # of the largest register tile
_PIPELINED = 8  # multiply-adds that run at a time: fewer take as long
_LOAD = 0.3  # of a multiply-add's time


def rule(
    func: tirx.PrimFunc, target: Target, tunable: bool, lanes: int, registers: int
) -> s_tir.Schedule | None:
    """Schedule a batched matrix product with an element-wise rest; None for any other function."""
    sch = s_tir.Schedule(func)
    product = _product(sch)
    if product is None:
        return None
    last = loops.inline_all(sch)
    *batch, m, n, k = sch.get_loops(product)
    size_m, size_n = loops.extent(sch, m), loops.extent(sch, n)
    vectors, rows = _register_tile(size_m, -(-size_n // lanes), registers)
    tile_m, row = sch.split(m, [None, rows])
    tile_n, vector, lane = sch.split(n, [None, vectors, lanes])
    sch.reorder(*batch, tile_m, tile_n, k, row, vector, lane)
    sums = sch.cache_write(product, 0, "local")
    sch.reverse_compute_at(sums, tile_n)
    *_, row, position = sch.get_loops(sums)
    loops.vectorize(sch, position, lanes, most=1)
    outer = sch.fuse(*sch.get_loops(product)[: len(batch) + 1])
    if sch.get_sref(last).stmt != sch.get_sref(product).stmt:
        sch.reverse_compute_at(last, outer)
        *_, position = sch.get_loops(last)
        loops.vectorize(sch, position, lanes)
    sch.parallel(outer)
    loops.fill_registers(sch, product, k)
    return sch


def _register_tile(rows: int, vectors: int, registers: int) -> tuple[int, int]:
    """Return the vectors and rows that compute so many with the fewest multiply-adds and loads."""
    tried = [
        (v, r)
        for v in range(1, min(vectors, _VECTORS) + 1)
        for r in range(1, min(rows, _ROWS) + 1)
        if v * r + v + 1 < registers
    ]

    def cost(tile: tuple[int, int]) -> float:
        v, r = tile
        tiles = -(-vectors // v) * -(-rows // r)
        return tiles * (max(v * r, _PIPELINED) + _LOAD * (v + r))

    return min(tried, key=cost)


def _product(sch: s_tir.Schedule) -> Any:
    """Return the only reduction, if it is a matrix product over its last loop."""
    found = [block for block in loops.blocks(sch) if not loops.is_injective(sch, block)]
    if len(found) != 1:
        return None
    stmt = sch.get(found[0])
    kinds = [iv.iter_type for iv in stmt.iter_vars]
    plain = kinds == [tirx.IterVar.DataPar] * (len(kinds) - 1) + [tirx.IterVar.CommReduce]
    store = stmt.body
    if not plain or len(kinds) < 3 or not isinstance(store, tirx.BufferStore):
        return None
    is_sum = isinstance(store.value, tirx.Add) and isinstance(store.value.b, tirx.Mul)
    return found[0] if is_sum else None
