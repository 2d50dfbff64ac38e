"""How a GPU computes a layer: over workgroups, with its zeros or without, or as TVM does.

`tvm_sparse.implement_workgroups` decides on the workgroup. Convolutions run over workgroups; linear
layers do if their zeros pay. Depthwise convolutions, and dense linear layers, have TVM's schedules,
unless something else was measured to be faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tvm_sparse import choose as for_cpu
from tvm_sparse import chunked, workgroup_cost
from tvm_sparse.choose import Choice, Ways
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement_workgroups import decide
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.stock import Stock
from tvm_sparse.workgroup import Workgroup

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_DENSE = Scheme(format="dense")
_UNKNOWN = 1e-3  # seconds

Decide = Callable[[Layer, Weight, "Target"], Choice]


def chooser(target: Target, sparse: bool = True) -> Decide:
    """Return what chooses kernels for a target, a CPU or a GPU; `sparse` is whether zeros count."""
    if target.is_gpu:
        return choose if sparse else stay_dense
    return for_cpu.choose if sparse else for_cpu.stay_dense


def choose(layer: Layer, weight: Weight, target: Target) -> Choice:
    """Decide how to compute a layer on a GPU; parameters as `tvm_sparse.choose.choose`."""
    return _choice(layer, weight, sparse=True)


def stay_dense(layer: Layer, weight: Weight, target: Target) -> Choice:
    """Return the decision to use a layer's zeros not at all, for comparison."""
    choice = _choice(layer, weight, sparse=False)
    zeros = 1 - np.count_nonzero(weight) / weight.size
    if not zeros or layer.depthwise:
        return choice
    return replace(choice, reason=f"{zeros:.0%} zeros, not to be used")


def taps(layer: Layer, filters: int) -> int:
    """Return the taps of all blocks of so many filters, none of them being zero."""
    return -(-layer.filters // filters) * layer.taps


def over(layer: Layer, tile: Workgroup, number: int) -> Kernel:
    """Return the kernel over workgroups whose blocks have so many taps."""
    seconds = workgroup_cost.seconds(layer, tile, number)
    return Kernel(tile=tile, plane=None, seconds=seconds)


def by_tvm(layer: Layer) -> Kernel:
    """Return TVM's own kernel: of its time nothing is known, and ours stands for it."""
    ours = whole(layer)
    return Kernel(tile=Stock(), plane=None, seconds=ours.seconds if ours else _UNKNOWN)


@cache
def whole(layer: Layer) -> Kernel | None:
    """Return the kernel over workgroups that multiplies every weight, None if none fits."""
    found = chunked.best(layer, np.ones(layer.weight, np.float32))
    return None if found is None else over(layer, found[0], taps(layer, found[0].filters))


def _choice(layer: Layer, weight: Weight, sparse: bool) -> Choice:
    found = for_cpu.find(weight)
    tvm = by_tvm(layer)
    choice = Choice(layer=layer, found=found, used=_DENSE, kernel=tvm, dense=tvm, reason="")
    if layer.depthwise:
        return replace(choice, reason="one channel a filter: nothing to skip")
    decision = decide(layer, weight, sparse)
    if decision is None:
        return replace(choice, reason="its window is too large for a workgroup")
    dense = whole(layer) if layer.op == "conv2d" else None
    known = _ways(layer, weight, found) if sparse and (weight == 0).any() else Ways()
    kernel = dense or tvm
    choice = replace(
        choice, kernel=kernel, dense=kernel, ways=known, reason=decision.reason(weight)
    )
    return _sparse(choice, decision.tile, weight) if decision.skips else choice


def _sparse(dense: Choice, tile: Workgroup, weight: Weight) -> Choice:
    """Return the choice to skip the zeros of a weight."""
    layer = dense.layer
    (number,) = chunked.counts(layer, weight, (tile.filters,))
    density = stored(layer, number, tile.filters)
    used = Scheme(format="block_punched", block=(tile.filters, 1), density=density)
    return replace(dense, used=used, kernel=over(layer, tile, number))


def stored(layer: Layer, number: int, filters: int) -> float:
    """Return the share of a layer's weights that so many taps of blocks store."""
    share = number * filters / (layer.filters * math.prod(layer.weight[1:]))
    return round(min(max(share, 1e-4), 1.0), 4)


def _ways(layer: Layer, weight: Weight, found: Scheme) -> Ways:
    """Return what the format that was found, and single weights, amount to."""
    names = ((found.format, found.block), ("unstructured", ()))
    return Ways(rows={name: for_cpu.work_of(layer, weight, *name) for name in names})
