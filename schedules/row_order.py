"""Rows in another order than the filters that they compute.

An algorithm says where the row of each filter is (``rows[0]``), and which filter each row computes
(``rows[1]``). Workgroups take rows one after another, and store each where its filter belongs.

Before::

    for b, o, y, x: with T.sblock("store"):
        Y[b, o, y, x] = max(A[…, rows[0, o], …] + bias[o], 0)

After::

    for b, r, y, x: with T.sblock("store"):
        Y[b, rows[1, r], y, x] = max(A[…, r, …] + bias[rows[1, r]], 0)
"""

from __future__ import annotations

from typing import Any

from tvm import ir, s_tir, tirx

from tvm_sparse import compat


def by_rows(func: tirx.PrimFunc, block: s_tir.SBlock, sums: Any) -> tirx.PrimFunc:
    """Return the function with one of its blocks over rows; as it is if rows are filters.

    Parameters
    ----------
    func : PrimFunc
    block : SBlock
        Which stores.
    sums : Buffer
        A, whose index says where rows are.
    """
    place = _place(block, sums)
    if place is None:
        return func

    def change(node: Any) -> Any:
        return _over_rows(node, place) if node.same_as(block) else node

    return func.with_body(compat.rewrite(func.body, s_tir.SBlock, change))


def _place(block: s_tir.SBlock, sums: Any) -> Any:
    """Return ``rows[0, o]``, or None."""
    found: list[Any] = []

    def look(load: Any) -> None:
        if load.source.same_as(sums):
            for index in load.indices:
                compat.visit(index, ir.TensorLoad, found.append)

    compat.visit(block.body, ir.TensorLoad, look)
    return found[0] if found else None


def _over_rows(block: s_tir.SBlock, place: Any) -> s_tir.SBlock:
    rows, variable = place.source, place.indices[1]
    row = tirx.Var("row", variable.ty)

    def stand(cast: Any) -> Any:
        load = cast.value
        return row if isinstance(load, ir.TensorLoad) and load.source.same_as(rows) else cast

    body = compat.rewrite(block.body, tirx.Cast, stand)
    filter_ = tirx.Cast(str(variable.ty.dtype), rows[1, variable])
    body = compat.substitute(compat.substitute(body, {variable: filter_}), {row: variable})
    reads, writes = _regions(body, ir.TensorLoad), _regions(body, tirx.BufferStore)
    return compat.with_block(block, body=body, reads=reads, writes=writes)


def _regions(body: Any, kind: Any) -> list[Any]:
    """Return what loads or stores reach: single elements, all along axes that `rows` decides."""
    found: dict[Any, list[Any]] = {}

    def look(node: Any) -> None:
        buffer = node.source if kind is ir.TensorLoad else node.buffer
        axes = zip(buffer.shape, node.indices, strict=True)
        found.setdefault(buffer, [_range(size, index) for size, index in axes])

    compat.visit(body, kind, look)
    return [tirx.BufferRegion(buffer, region) for buffer, region in found.items()]


def _range(size: Any, index: Any) -> Any:
    loads: list[Any] = []
    compat.visit(index, ir.TensorLoad, loads.append)
    return ir.Range(0, size) if loads else ir.Range.from_min_extent(index, 1)
