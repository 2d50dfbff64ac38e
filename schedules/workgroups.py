"""Products on a GPU: threads of a workgroup share the input that they stage, chunk by chunk.

Before::

    for b, y, x, c, q: with T.sblock("stage"): S[...] = ...
    for b, y, x, o, i, c, k: with T.sblock("product"): A[...] += ...
    for b, o, y, x: with T.sblock("store"): Y[...] = ...           # and its epilogue

After::

    blockIdx: tile, workgroup of blocks, image;  threadIdx: lanes, block
        for c:                                       # chunks of input channels
            S (shared) = ...                         # all threads, neighbours side by side
            for k:                                   # taps of the thread's block in the chunk
                for o, i in T.unroll: A (registers) += ...
        for o, i in T.unroll: Y[...] = epilogue(A)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.algorithms.workgroups import KEY
from tvm_sparse.errors import TargetError
from tvm_sparse.limits import Limits
from tvm_sparse.schedules import loops, row_order
from tvm_sparse.workgroup import Workgroup


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function of ours for workgroups; None for any other."""
    sch = s_tir.Schedule(func)
    sizes = loops.take_annotation(sch, KEY)
    if sizes is None:
        return None
    axes, word = (int(sizes.pop(name)) for name in ("axes", "word"))
    tile = Workgroup(**{name: int(size) for name, size in sizes.items()})
    _demand(sch, tile, target)
    sch = _over_rows(sch, _inline_epilogue(sch))
    last = loops.blocks(sch)[-1]
    lane = _BINDS[axes](sch, last, tile, word)
    _stage(sch, _accumulate(sch, lane), tile)
    return sch


def _demand(sch: s_tir.Schedule, tile: Workgroup, target: Target) -> None:
    """Raise TargetError if a workgroup takes more than the device has."""
    (staged,) = sch.get(sch.get_sblock("stage")).writes
    nbytes = int(staged.source.shape[-1]) * np.dtype(str(staged.source.dtype)).itemsize
    excess = Limits.of(target.attrs).beyond(math.prod(tile.threads), nbytes)
    if excess:
        kind = target.kind.name
        raise TargetError(f"the workgroup {tile} {excess} on {kind}: take a smaller one")


def _inline_epilogue(sch: s_tir.Schedule) -> Any:
    """Compute everything behind the product where it is stored; return that block."""
    *before, last = loops.blocks(sch)
    for block in before:
        if sch.get(block).name_hint not in ("stage", "product"):
            sch.compute_inline(block)
    return last


def _over_rows(sch: s_tir.Schedule, last: Any) -> s_tir.Schedule:
    """Return the schedule with outputs stored row by row, in whichever order rows stand."""
    (sums,) = sch.get(sch.get_sblock("product")).writes
    func = sch.mod["main"]
    changed = row_order.by_rows(func, sch.get(last), sums.source)
    return sch if changed is func else s_tir.Schedule(changed)


def _bind_image(sch: s_tir.Schedule, last: Any, tile: Workgroup, word: int) -> Any:
    """Divide (batch, filters, height, width); return the loop over a workgroup's threads."""
    batch, filters, y, x = sch.get_loops(last)
    down, y = sch.split(y, [None, tile.height])
    across, x = sch.split(x, [None, tile.width])
    group, block, row = sch.split(filters, [None, tile.blocks, tile.filters // word])
    sch.reorder(batch, down, across, group, block, y, x, row)
    sch.bind(batch, "blockIdx.z")
    return _bind_tile(sch, (sch.fuse(down, across), group, block, sch.fuse(y, x), row), tile)


def _bind_rows(sch: s_tir.Schedule, last: Any, tile: Workgroup, word: int) -> Any:
    """Divide (rows, filters), rows being nested or not; return the loop over threads."""
    *rows, filters = sch.get_loops(last)
    across, x = sch.split(sch.fuse(*rows), [None, tile.width])
    group, block, row = sch.split(filters, [None, tile.blocks, tile.filters // word])
    sch.reorder(across, group, block, x, row)
    return _bind_tile(sch, (across, group, block, x, row), tile)


def _bind_columns(sch: s_tir.Schedule, last: Any, tile: Workgroup, word: int) -> Any:
    """Divide (filters, rows); return the loop over threads."""
    filters, rows = sch.get_loops(last)
    across, x = sch.split(rows, [None, tile.width])
    group, block, row = sch.split(filters, [None, tile.blocks, tile.filters // word])
    sch.reorder(across, group, block, x, row)
    return _bind_tile(sch, (across, group, block, x, row), tile)


_BINDS = {4: _bind_image, 2: _bind_columns, 1: _bind_rows}  # by axes: 1 for rows, nested or not


def _bind_tile(sch: s_tir.Schedule, around: tuple[Any, ...], tile: Workgroup) -> Any:
    where, group, block, position, row = around
    thread, lane = sch.split(position, [None, tile.lanes])
    sch.reorder(thread, row, lane)
    sch.bind(where, "blockIdx.x")
    sch.bind(group, "blockIdx.y")
    sch.bind(block, "threadIdx.y")
    sch.bind(thread, "threadIdx.x")
    for loop in (row, lane):
        sch.unroll(loop)
    return thread


def _accumulate(sch: s_tir.Schedule, thread: Any) -> Any:
    """Keep a thread's sums in registers; return the loop over chunks."""
    product = sch.get_sblock("product")
    sch.compute_at(product, thread, preserve_unit_loops=True)
    row, lane, chunk, tap = sch.get_loops(product)[-4:]
    sch.reorder(chunk, tap, row, lane)
    for loop in (row, lane):
        sch.unroll(loop)
    first = sch.decompose_reduction(product, chunk)
    for loop in sch.get_loops(first)[-2:]:
        sch.unroll(loop)
    sch.set_scope(product, 0, "local")
    return chunk


def _stage(sch: s_tir.Schedule, chunk: Any, tile: Workgroup) -> None:
    """Copy a chunk with all threads of the workgroup, neighbours side by side."""
    stage = sch.get_sblock("stage")
    sch.compute_at(stage, chunk, preserve_unit_loops=True)
    sch.set_scope(stage, 0, "shared")
    x, y = tile.threads
    _, thread_y, thread_x = sch.split(sch.get_loops(stage)[-1], [None, y, x])
    sch.bind(thread_y, "threadIdx.y")
    sch.bind(thread_x, "threadIdx.x")
