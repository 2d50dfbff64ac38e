# mypy: ignore-errors
"""Marked nests before, instructions of AMX after."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx
from tvm.script import tirx as T
from tvm.target.codegen import llvm_get_intrinsic_name

from support import amx
from tvm_sparse import compat
from tvm_sparse.octets import dot4
from tvm_sparse.relay_passes.lower_amx import LowerAmx, configuration
from tvm_sparse.targets import load


@T.prim_func(s_tir=True)
def product(
    W: T.Buffer((1024,), "int32"), X: T.Buffer((4096,), "int32"), A: T.Buffer((512,), "int32")
):
    sums = T.alloc_buffer((512,), "int32", scope="local")
    for _ in T.parallel(2):
        for o in T.serial(16, annotations={"tvm_sparse.amx": "zero"}):
            for i in range(16):
                sums[o * 32 + i] = 0
        for k in range(4):
            for o in T.serial(16, annotations={"tvm_sparse.amx": "multiply"}):
                for i, w in T.grid(16, 16):
                    sums[o * 32 + i] = dot4(
                        sums[o * 32 + i], X[k * 512 + w * 32 + i], W[k * 256 + o * 16 + w]
                    )
            for o in T.serial(16, annotations={"tvm_sparse.amx": "multiply"}):
                for i, w in T.grid(16, 16):
                    sums[o * 32 + 16 + i] = dot4(
                        sums[o * 32 + 16 + i], X[k * 512 + w * 32 + 16 + i], W[k * 256 + o * 16 + w]
                    )
        for o in T.serial(16, annotations={"tvm_sparse.amx": "store"}):
            for i in range(16):
                A[o * 32 + i] = sums[o * 32 + 16 + i]


def lowered(target: Any) -> tirx.PrimFunc:
    func = product.with_attr({"target": target.to_tvm(), "global_symbol": "main"})
    return LowerAmx()(tvm.IRModule({"main": func}))["main"]


def instructions(func: tirx.PrimFunc) -> list[tuple[str, list[int]]]:
    """The names of instructions, and the constants among what they take."""
    found = []

    def note(call: Any) -> None:
        if isinstance(call.op, ir.Op) and call.op.name == "tirx.call_llvm_intrin":
            name = llvm_get_intrinsic_name(int(call.args[0])).removeprefix("llvm.x86.")
            found.append((name, [int(a) for a in call.args[1:] if isinstance(a, tirx.IntImm)]))

    compat.visit(func.body, ir.Call, note)
    return found


def test_marked_nests_become_instructions_in_which_nothing_is_loaded_twice() -> None:
    assert instructions(lowered(amx.target())) == [
        ("ldtilecfg", []),
        ("tilezero", [0]),
        ("tileloadd64", [3, 64]),
        ("tileloadd64", [2, 128]),
        ("tdpbsud", [0, 3, 2]),
        ("tileloadd64", [4, 128]),
        ("tdpbsud", [1, 3, 4]),
        ("tilestored64", [1, 128]),
        ("tilerelease", []),
    ]


def test_every_thread_configures_tiles_after_the_process_has_asked_for_them() -> None:
    body = lowered(amx.target()).body
    assert "syscall" in str(body) and isinstance(body.seq[0], tirx.AssertStmt)
    assert configuration().tobytes()[:1] == b"\1"
    assert configuration().tobytes()[16:20] == b"\x40\0\x40\0"
    assert configuration().tobytes()[48:56] == b"\x10" * 8


def test_without_amx_nests_are_left_as_they_are() -> None:
    func = lowered(load("x86-avx512"))
    assert not instructions(func)
    tvm.ir.assert_structural_equal(func.body, product.body)
