"""Every format's kernels on an emulated 32-bit board: the same numbers as the dense operator."""

from __future__ import annotations

from typing import Any

import pytest
import tvm

from support import kernels, programs
from support.formats import blocks, pruned
from support.small_layers import LAYERS, suited
from tvm_sparse import implement, kernel, targets
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.program import single
from tvm_sparse.program.plan import Call, Plan, Tensor
from tvm_sparse.program.write import link_plan
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions

pytestmark = pytest.mark.arm

ARMV7 = targets.load("armv7")
CASES = [*suited(), *(("", which) for which in LAYERS)]


def weight(name: str, which: str) -> Weight:
    found = kernels.weights(LAYERS[which])
    return pruned(found, name, blocks(name)[0]) if name else found


def implemented(name: str, which: str) -> tuple[Any, kernel.Kernel]:
    layer = LAYERS[which]
    if not name:
        best = kernel.dense(layer, ARMV7)
        return implement.dense(layer, best, weight(name, which)), best
    choice = kernels.stored_as(layer, weight(name, which), name, blocks(name)[0], ARMV7)
    return implement.sparse(choice, weight(name, which)), choice.kernel


def constant(array: Weight) -> Tensor:
    return Tensor(shape=array.shape, dtype=str(array.dtype), value=array)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Weight]:
    """What all kernels compute, in one program that calls them one after the other."""
    functions, calls, kept = {}, [], []
    for number, (name, which) in enumerate(CASES):
        bound, best = implemented(name, which)
        symbol = f"kernel{number}"
        functions[symbol] = bound.func.with_attr("global_symbol", symbol)
        x = kernels.inputs(LAYERS[which])
        *given, out = kernels.arguments(LAYERS[which], bound, best, x)
        y = Tensor(shape=out.shape, dtype="float32")
        calls.append(Call(kernel=symbol, tensors=(*map(constant, given), y)))
        kept.append((LAYERS[which], best))
    mod = tvm.transform.Sequential([ScheduleFunctions(ARMV7)])(tvm.IRModule(functions))
    built = tvm.compile(mod, ARMV7.to_tvm(), tir_pipeline=code_generation.NAME)
    outputs = [call.tensors[-1] for call in calls]
    plan = Plan(calls=tuple(calls), inputs=(), outputs=tuple(outputs))
    path = tmp_path_factory.mktemp("kernels") / "kernels"
    link_plan(built, plan, single.description(plan, ARMV7), path)
    path.chmod(0o755)
    found = programs.outputs(path, [], len(outputs), target="armv7")
    raw = zip(CASES, kept, found, strict=True)
    return {case: kernels.result(layer, best, y) for case, (layer, best), y in raw}


@pytest.mark.parametrize(("name", "which"), CASES)
def test_a_layer_equals_the_dense_operator(
    name: str, which: str, results: dict[tuple[str, str], Weight]
) -> None:
    layer = LAYERS[which]
    expected = kernels.reference(layer, kernels.inputs(layer), weight(name, which))
    kernels.assert_close(results[name, which], expected, 1e-5)
