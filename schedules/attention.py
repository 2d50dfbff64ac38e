"""Attention: a tile of queries of one head after the other, its scores in cache.

Before::

    for b, h, t, d: pack                  # queries
    for b, h, t, d: pack_keys
    for b, h, t, j, i, d: scores
    for b, h, t, i, j: most               # largest score of a query
    for b, h, t, j, i: weights            # exponentials
    for b, h, t, i, j: total
    for b, h, t, d, i, j: product
    for b, h, d, x: store

After::

    for bht in parallel:
        each of the eight, on vectors of queries; both products as rows × vectors in registers
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.algorithms.attention import KEY
from tvm_sparse.schedules import loops


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose block carries an attention's tile; None for any other."""
    sch = s_tir.Schedule(func)
    tile = loops.take_annotation(sch, KEY)
    if tile is None:
        return None
    pack, keys, scores, most, weights, total, product, store = loops.blocks(sch)
    _cut_store(sch, store, tile)
    registers = [_cut_product(sch, block, tile) for block in (scores, product)]
    registers += [_cut_reduction(sch, block, tile) for block in (most, total)]
    _cut_weights(sch, weights, tile)
    every = (pack, keys, scores, most, weights, total, product, store)
    sch.merge(*[sch.fuse(*sch.get_loops(block)[:3]) for block in every])
    sch.parallel(sch.get_loops(product)[0])
    for block, reduced in zip((scores, product, most, total), registers, strict=True):
        loops.fill_registers(sch, block, reduced)
    return sch


def _cut_store(sch: s_tir.Schedule, block: Any, tile: dict[str, Any]) -> None:
    """Loops become b, h, t, feature, vectors of queries."""
    b, h, d, x = sch.get_loops(block)
    t, i = sch.split(x, [None, tile["vectors"] * tile["lanes"]])
    sch.reorder(b, h, t, d, i)
    loops.vectorize(sch, i, tile["lanes"], most=1)


def _cut_product(sch: s_tir.Schedule, block: Any, tile: dict[str, Any]) -> Any:
    """Loops become b, h, t, rows, k, register tile; return the loop over k."""
    *_, row, i, k = sch.get_loops(block)
    rows, row = sch.split(row, [None, tile["rows"]])
    vector, lane = sch.split(i, [tile["vectors"], tile["lanes"]])
    sch.reorder(rows, k, row, vector, lane)
    sums = sch.cache_write(block, 0, "local")
    sch.reverse_compute_at(sums, rows)
    loops.vectorize_tile(sch, sums, tile["lanes"])
    return k


def _cut_reduction(sch: s_tir.Schedule, block: Any, tile: dict[str, Any]) -> Any:
    """Loops become b, h, t, keys, vectors of queries; return the loop over keys."""
    *_, t, i, k = sch.get_loops(block)
    vector, lane = sch.split(i, [tile["vectors"], tile["lanes"]])
    sch.reorder(k, vector, lane)
    sums = sch.cache_write(block, 0, "local")
    sch.reverse_compute_at(sums, t)
    *_, position = sch.get_loops(sums)
    loops.vectorize(sch, position, tile["lanes"], most=1)
    return k


def _cut_weights(sch: s_tir.Schedule, block: Any, tile: dict[str, Any]) -> None:
    """Loops become b, h, t, keys, vectors of queries."""
    *_, i = sch.get_loops(block)
    loops.vectorize(sch, i, tile["lanes"], most=1)
