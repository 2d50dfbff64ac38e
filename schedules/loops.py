"""Small steps that every CPU schedule repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import s_tir, tirx

TILE = "tvm_sparse.tile"
REST = "tvm_sparse.rest"  # the tile of a second product, which is added to the first
LAST = "tvm_sparse.last"  # marks the loop over register tiles: the vectors of the last one
TAIL = "tvm_sparse.tail"  # on that loop too: lanes of that tile's last vector, if very few
VECTORS = "tvm_sparse.vectors"  # marks the loops over the vectors of such a tile
CUTS = "tvm_sparse.cuts"  # marks a parallel loop: where the share of each thread begins
STREAM = "tvm_sparse.stream"  # marks the loop over taps: bytes by which weights are asked for ahead

_AHEAD = 2048  # bytes: what memory delivers, at 20 GB/s, while 50 taps of 8 × 3 are multiplied


def blocks(sch: s_tir.Schedule) -> list[Any]:
    """Return the blocks of a function in order; none if its body is a single opaque one."""
    root = sch.mod["main"].body
    if not isinstance(root, s_tir.SBlockRealize) or root.block.name_hint != "root":
        return []
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def take_annotation(sch: s_tir.Schedule, key: str) -> dict[str, Any] | None:
    """Remove and return the tile that one of the function's blocks is annotated with, or None."""
    for block in blocks(sch):
        annotations = sch.get(block).annotations
        if key in annotations:
            values = {str(name): value for name, value in annotations[key].items()}
            sch.unannotate(block, key)
            return {name: _plain(value) for name, value in values.items()}
    return None


def _plain(value: Any) -> str | int | tuple[int, ...]:
    """Return a TVM string, integer or array of integers as Python's."""
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, (int, tirx.IntImm)) else tuple(int(v) for v in value)


def divide(sch: s_tir.Schedule, loop: Any, cuts: tuple[int, ...]) -> None:
    """Let threads divide a loop: in equal shares, or at the cuts if there are any."""
    if cuts:
        sch.annotate(loop, CUTS, list(cuts))
    sch.parallel(loop)


def extent(sch: s_tir.Schedule, loop: Any) -> int:
    """Return a loop's constant extent."""
    return int(sch.get(loop).extent)


def inline_all(sch: s_tir.Schedule) -> Any:
    """Inline every element-wise block into its consumers and return the block that is left last.

    Before: ``product → store → add(bias) → relu``; after: ``product → relu(store + bias)``.
    """
    for block in blocks(sch):
        if is_injective(sch, block) and sch.get_consumers(block):
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                continue
    return blocks(sch)[-1]


def is_injective(sch: s_tir.Schedule, block: Any) -> bool:
    """Whether a block computes one element from others, without a reduction."""
    stmt = sch.get(block)
    spatial = all(iv.iter_type == tirx.IterVar.DataPar for iv in stmt.iter_vars)
    return spatial and isinstance(stmt.body, tirx.BufferStore)


def vectorize(sch: s_tir.Schedule, loop: Any, lanes: int, most: int = 4) -> Any:
    """Vectorize a loop: whole when it is short, else in vectors of `lanes`, ragged end or not.

    Returns the outer loop, or None when the loop was vectorized whole.
    """
    size = extent(sch, loop)
    if size <= lanes * most and size > 1:
        sch.vectorize(loop)
        return None
    outer, inner = sch.split(loop, [None, lanes])
    sch.vectorize(inner)
    return outer


def unroll(sch: s_tir.Schedule, loops: Sequence[Any]) -> None:
    """Unroll loops."""
    for loop in loops:
        sch.unroll(loop)


def vectorize_tile(sch: s_tir.Schedule, sums: Any, lanes: int) -> None:
    """Write a register tile back: vectors, everything around them unrolled."""
    *_, row, position = sch.get_loops(sums)
    vector, lane = sch.split(position, [None, lanes])
    sch.vectorize(lane)
    unroll(sch, [row, vector])
    sch.annotate(vector, VECTORS, 1)


def fill_registers(sch: s_tir.Schedule, product: Any, k: Any, last: Any = None) -> None:
    """Keep the sums of the loops inside k in registers: vector lanes, everything else unrolled.

    Before: ``for k: for row, vector, lane: sum += ...``, with the sums cleared when k is 0; after,
    they are cleared in front of the loop over k, which is left with nothing but multiply-adds.
    With `last`, the loops from k to that one stay loops.
    """
    around = sch.get_loops(product)
    nest = [sch.get(loop) for loop in around]
    depth = nest.index(sch.get(k))
    _in_registers(sch, around[nest.index(sch.get(k if last is None else last)) + 1 :])
    first = sch.decompose_reduction(product, k)
    _in_registers(sch, sch.get_loops(first)[depth:])


def _in_registers(sch: s_tir.Schedule, inside: Sequence[Any]) -> None:
    """Vectorize the last of a register tile's loops and unroll the others."""
    *inner, lane = inside
    sch.vectorize(lane)
    unroll(sch, inner)
    if inner:
        sch.annotate(inner[-1], VECTORS, 1)


def stream_weights(sch: s_tir.Schedule, k: Any, ahead: int = _AHEAD) -> None:
    """Mark the loop over taps for `tvm_sparse.relay_passes.prefetch_weights`."""
    sch.annotate(k, STREAM, ahead)
