"""Compile a single layer for Vulkan and run it, without a model around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from tvm.s_tir import dlight

from support import integers, kernels
from tvm_sparse import implement_workgroups, targets
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes.narrow_indices import NarrowIndices
from tvm_sparse.relay_passes.tighten_loops import TightenLoops
from tvm_sparse.schedules import gpu_rules


def target(without: str = "") -> Any:
    """The target of the device at hand, without a feature ``supports_…``."""
    found = targets.load("vulkan").to_tvm()
    if not without:
        return found
    attributes = {**dict(found.attrs), without: False}
    return tvm.target.Target({"kind": "vulkan", **attributes}, host="llvm")


def scheduled(func: Any, target: Any, narrow: bool = True) -> tvm.IRModule:
    passes = [dlight.ApplyDefaultSchedule(*gpu_rules()), TightenLoops()]
    passes += [NarrowIndices()] if narrow else []
    with target:
        mod = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
        return tvm.transform.Sequential(passes)(mod)


def compiled(func: Any, target: Any, narrow: bool = True) -> Any:
    mod = scheduled(func, target, narrow)
    return tvm.tirx.build(mod, target=target, pipeline="s_tir")["main"]


def bind(layer: Layer, weight: Weight, skips: bool = True) -> Implementation:
    """The kernel of a layer, which skips zeros whether that pays or not."""
    decision = implement_workgroups.decide(layer, weight, sparse=skips)
    assert decision is not None
    return implement_workgroups.floats(layer, replace(decision, skips=skips), weight)


def check_floats(
    layer: Layer,
    weight: Weight,
    device: Any,
    tolerance: float = 1e-5,
    skips: bool = True,
    narrow: bool = True,
) -> None:
    """A layer's kernel equals the dense operator."""
    layer = _on_rows(layer)
    bound = bind(layer, weight, skips)
    x = kernels.inputs(layer)
    expected = kernels.reference(layer, x, weight)
    empty = np.full(expected.shape, np.nan, layer.dtype)
    found = _called(bound, target(), [x.astype(layer.dtype)], empty, device, narrow)
    kernels.assert_close(found, expected, tolerance)


def run_integers(
    layer: Layer,
    given: Integers,
    x: integers.Array,
    device: Any,
    residual: integers.Array | None = None,
    without: str = "",
) -> integers.Array:
    """A layer's output on a target `without` a feature; it starts as 0xAA: none is left out."""
    decision = implement_workgroups.decide_integers(layer, given)
    assert decision is not None
    bound = implement_workgroups.integers(layer, decision, given)
    data = [integers.to_words(layer, x)]
    after = [] if residual is None else [integers.to_words(integers.output(layer), residual)]
    shape, dtype = integers.stored(layer, given)
    empty = np.frombuffer(b"\xaa" * int(np.prod(shape)) * 4, dtype).reshape(shape)
    found = _called(bound, target(without), data, empty, device, after=after)
    return integers.from_words(layer, found, given)


def _called(
    bound: Implementation,
    target: Any,
    data: list[integers.Array],
    empty: integers.Array,
    device: Any,
    narrow: bool = True,
    after: list[integers.Array] | None = None,
) -> integers.Array:
    function = compiled(bound.func, target, narrow)
    arguments = [*data, *bound.constants, *(after or []), empty]
    given = [tvm.runtime.tensor(array.copy(), device) for array in arguments]
    function(*given)
    result: integers.Array = given[-1].numpy()
    return result


def _on_rows(layer: Layer) -> Layer:
    flat = layer.op == "conv2d" or layer.positions in layer.input
    return layer if flat else replace(layer, input=(layer.positions,))
