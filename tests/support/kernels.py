"""Compile a single layer and run it, without a model around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import tvm

from tvm_sparse import choose, implement, kernel, targets
from tvm_sparse.bench.layers import input_shape
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile


def weights(layer: Layer, seed: int = 0) -> Weight:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(layer.weight).astype(np.float32)


def inputs(layer: Layer, seed: int = 1) -> Weight:
    return np.random.default_rng(seed).standard_normal(input_shape(layer)).astype(np.float32)


def reference(layer: Layer, x: Weight, weight: Weight) -> Weight:
    """What the dense operator computes, in float64."""
    tx, tw = torch.from_numpy(x).double(), torch.from_numpy(weight).double()
    if layer.op == "linear":
        return np.asarray(torch.nn.functional.linear(tx, tw))
    top, left, bottom, right = layer.padding
    padded = torch.nn.functional.pad(tx, (left, right, top, bottom))
    return np.asarray(
        torch.nn.functional.conv2d(
            padded, tw, stride=layer.stride, dilation=layer.dilation, groups=layer.groups
        )
    )


def stored_as(layer: Layer, weight: Weight, name: str, block: Block, target: Target) -> Choice:
    """The choice to store a weight in a format, whether it pays or not."""
    scheme = Scheme(format=name, block=block)
    rows = choose.row_blocks(layer, weight, scheme)
    work = Work(
        blocks=max(rows.blocks, 1),
        taps=len(rows.taps),
        filters=rows.filters,
        reordered=not rows.in_order(layer.filters),
    )
    dense = kernel.dense(layer, target)
    best = kernel.sparse(layer, work, target)
    return Choice(layer=layer, found=scheme, used=scheme, kernel=best, dense=dense, reason="")


def run_sparse(
    choice: Choice, weight: Weight, x: Weight, target: Target, lowering: str = code_generation.NAME
) -> Weight:
    return run(choice.layer, implement.sparse(choice, weight), choice.kernel, x, target, lowering)


def run_dense(
    layer: Layer, weight: Weight, x: Weight, target: Target, lowering: str = code_generation.NAME
) -> Weight:
    best = kernel.dense(layer, target)
    return run(layer, implement.dense(layer, best, weight), best, x, target, lowering)


def run(
    layer: Layer,
    bound: Any,
    best: kernel.Kernel,
    x: Weight,
    target: Target,
    lowering: str = code_generation.NAME,
) -> Weight:
    """Compile and run one implementation here."""
    function = compiled(bound.func, target, lowering)
    return called(function, layer, bound, best, x, tvm.cpu())


def called(
    function: Any, layer: Layer, bound: Any, best: kernel.Kernel, x: Weight, device: Any
) -> Weight:
    """Run a compiled kernel."""
    given = [tvm.runtime.tensor(a, device) for a in arguments(layer, bound, best, x)]
    function(*given)
    return result(layer, best, given[-1].numpy())


def arguments(layer: Layer, bound: Any, best: kernel.Kernel, x: Weight) -> list[Weight]:
    """What a kernel is called with; outputs start as NaN, so that none is left out."""
    if _is_transposed(layer, best):
        data = np.ascontiguousarray(x.reshape(-1, layer.channels).T)
        out = np.full((layer.filters, layer.positions), np.nan, np.float32)
    else:
        data, out = x, np.full(_output_shape(layer), np.nan, np.float32)
    return [data, *bound.constants, out]


def result(layer: Layer, best: kernel.Kernel, output: Weight) -> Weight:
    """A kernel's output in the layout of the layer's."""
    return output.T.reshape(_output_shape(layer)) if _is_transposed(layer, best) else output


def _output_shape(layer: Layer) -> tuple[int, ...]:
    if layer.op == "conv2d":
        return (layer.output[0], layer.filters, *layer.output[1:])
    return (*layer.output, layer.filters)


def _is_transposed(layer: Layer, best: kernel.Kernel) -> bool:
    return layer.op == "linear" and isinstance(best.tile, Tile)


def compiled(func: Any, target: Target, lowering: str = code_generation.NAME) -> Any:
    return compiled_module(func, target, lowering)["main"]


def compiled_module(func: Any, target: Target, lowering: str = code_generation.NAME) -> Any:
    return tvm.tirx.build(scheduled(func, target), target=target.to_tvm(), pipeline=lowering)


def assembly(func: Any, target: Target) -> str:
    mod = scheduled(func, target)
    library = tvm.compile(mod, target.to_tvm(), tir_pipeline=code_generation.NAME).mod
    return str(library.inspect_source("asm"))


def scheduled(func: Any, target: Target) -> tvm.IRModule:
    mod = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    return tvm.transform.Sequential([ScheduleFunctions(target)])(mod)


def native() -> Target:
    return targets.load("x86")


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Outputs agree to a share of the largest one, and hold no NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    scale = max(float(np.abs(expected).max(initial=0)), 1e-6)
    assert float(np.abs(actual - expected).max(initial=0)) <= tolerance * scale
