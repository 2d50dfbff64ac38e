# mypy: ignore-errors
"""Local buffers are stack allocations, which LLVM turns into registers."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.keep_registers import KeepRegisters
from tvm_sparse.targets import Target

# fmt: off

WORKSPACE = "TVMBackendAllocWorkspace"


def reversed_twice(scope):
    """Two reversals, with what lies between them in a buffer of a given scope."""
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((384,), "float32"), Y: T.Buffer((384,), "float32")):
        A = T.alloc_buffer((384,), "float32", scope=scope)
        for i in range(384):
            A[383 - i] = X[i] + T.float32(1)
        for i in range(384):
            Y[i] = A[383 - i]

    return tvm.IRModule({"main": main.with_attr("global_symbol", "main")})


def compiled(scope: str, target: Target, pipeline: str):
    return tvm.compile(reversed_twice(scope), target.to_tvm(), tir_pipeline=pipeline)


def test_the_allocation_of_a_local_buffer_is_left_as_it_is() -> None:
    before, after = reversed_twice("local"), KeepRegisters()(reversed_twice("local"))
    assert "disable_lower_builtin" not in before.script(show_meta=False)
    assert after.script(show_meta=False).count('"disable_lower_builtin"') == 1


def test_other_buffers_are_lowered_as_ever() -> None:
    before = reversed_twice("global")
    tvm.ir.assert_structural_equal(KeepRegisters()(before), before)


@pytest.mark.parametrize(("scope", "asks"), [("local", False), ("global", True)])
def test_only_other_buffers_ask_the_runtime_for_a_workspace(
    scope: str, asks: bool, x86: Target
) -> None:
    library = compiled(scope, x86, code_generation.NAME)
    assert (WORKSPACE in library.mod.inspect_source("asm")) == asks


def test_without_the_pass_a_register_tile_would_be_a_workspace(x86: Target) -> None:
    assert WORKSPACE in compiled("local", x86, "s_tir").mod.inspect_source("asm")


@pytest.mark.parametrize("scope", ["local", "global"])
def test_results_do_not_depend_on_where_buffers_live(scope: str, x86: Target) -> None:
    x = np.arange(384, dtype="float32")
    y = tvm.runtime.tensor(np.full(384, np.nan, "float32"))
    compiled(scope, x86, code_generation.NAME)["main"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), x + 1)
