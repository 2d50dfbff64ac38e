"""Reductions over the columns of a matrix, and what uses their results: layer norm.

Before::

    for i, f: total[i] += X[f, i]
    for i: mean[i] = total[i] / features
    for f, i: Y[f, i] = X[f, i] - mean[i]

After::

    for tile of columns in parallel:
        each of the three, on vectors of columns; sums in registers
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.algorithms.layer_norm import KEY
from tvm_sparse.schedules import loops


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose block carries a tile of columns; None for any other."""
    sch = s_tir.Schedule(func)
    tile = loops.take_annotation(sch, KEY)
    if tile is None:
        return None
    blocks = loops.blocks(sch)
    reduced = [_cut(sch, block, tile) for block in blocks]
    sch.merge(*[sch.get_loops(block)[0] for block in blocks])
    sch.parallel(sch.get_loops(blocks[-1])[0])
    for block, k in zip(blocks, reduced, strict=True):
        if k is not None:
            loops.fill_registers(sch, block, k)
    return sch


def _cut(sch: s_tir.Schedule, block: Any, tile: dict[str, Any]) -> Any:
    """Loops become tile, rows, vectors of columns; return the loop over rows of a reduction."""
    kinds = [iv.iter_type for iv in sch.get(block).iter_vars]
    around = sch.get_loops(block)
    reduces = kinds[-1] == tirx.IterVar.CommReduce
    column = around[0] if reduces else around[-1]
    others = [loop for loop in around if loop is not column]
    outer, vector, lane = sch.split(column, [None, tile["vectors"], tile["lanes"]])
    sch.reorder(outer, *others, vector, lane)
    if not reduces:
        sch.vectorize(lane)
        return None
    sums = sch.cache_write(block, 0, "local")
    sch.reverse_compute_at(sums, outer)
    *_, position = sch.get_loops(sums)
    loops.vectorize(sch, position, tile["lanes"], most=1)
    return others[0]
