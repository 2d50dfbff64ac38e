# mypy: ignore-errors
"""Before / expected of the passes over loops."""

from __future__ import annotations

import tvm
from tvm.script import tirx as T

from tvm_sparse.relay_passes.peel_tails import PeelTails
from tvm_sparse.relay_passes.tighten_loops import TightenLoops

# fmt: off


def body(mod: tvm.IRModule) -> str:
    text: str = mod["main"].script(show_meta=False)
    return "\n".join(line.strip() for line in text.splitlines())


def test_a_guard_becomes_the_extent_of_its_loop() -> None:
    @T.prim_func(s_tir=True)
    def main(P: T.Buffer((9,), "int64"), X: T.Buffer((64,), "float32"), Y: T.Buffer((8,), "float32")):  # noqa: E501
        for i in T.serial(T.int64(8)):
            for k in T.serial(T.int64(96)):
                with T.sblock("product"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    with T.init():
                        Y[vi] = T.float32(0)
                    if vk < P[vi + T.int64(1)] - P[vi]:
                        Y[vi] = Y[vi] + X[P[vi] + vk]

    after = body(TightenLoops()(tvm.IRModule({"main": main})))
    assert "for k in range(P[i + T.int64(1)] - P[i]):" in after
    assert "if " not in after


def test_a_guard_that_depends_on_an_inner_loop_stays() -> None:
    @T.prim_func(s_tir=True)
    def main(P: T.Buffer((9,), "int64"), Y: T.Buffer((8,), "float32")):
        for k in T.serial(T.int64(96)):
            for i in T.serial(T.int64(8)):
                with T.sblock("product"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    with T.init():
                        Y[vi] = T.float32(0)
                    if vk < P[vi]:
                        Y[vi] = Y[vi] + T.float32(1)

    after = body(TightenLoops()(tvm.IRModule({"main": main})))
    assert "T.int64(96)" in after
    assert "if vk < P[vi]:" in after


def test_a_ragged_vector_loop_becomes_full_vectors_and_a_shorter_one() -> None:
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((196,), "float32"), Y: T.Buffer((196,), "float32")):
        for i in T.serial(T.int64(13)):
            for v in T.vectorized(T.int64(16)):
                with T.sblock("copy"):
                    vi = T.axis.spatial(T.int64(196), i * T.int64(16) + v)
                    T.where(i * T.int64(16) + v < T.int64(196))
                    Y[vi] = X[vi]

    after = body(PeelTails()(tvm.IRModule({"main": main})))
    assert "for v in T.vectorized(T.int64(16)):" in after
    assert "for v in T.vectorized(T.int64(4)):" in after
    assert "T.where" not in after


def test_vectors_that_always_end_at_the_bound_need_no_shorter_one() -> None:
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((192,), "float32"), Y: T.Buffer((192,), "float32")):
        for i in T.serial(T.int64(13)):
            for v in T.vectorized(T.int64(16)):
                with T.sblock("copy"):
                    vi = T.axis.spatial(T.int64(192), i * T.int64(16) + v)
                    T.where(i * T.int64(16) + v < T.int64(192))
                    Y[vi] = X[vi]

    after = body(PeelTails()(tvm.IRModule({"main": main})))
    assert after.count("T.vectorized") == 1


def test_guards_that_do_not_cross_vectors_are_left_to_scalars() -> None:
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((64,), "float32"), Y: T.Buffer((64,), "float32")):
        for v in T.vectorized(T.int64(64)):
            with T.sblock("copy"):
                vi = T.axis.spatial(T.int64(64), v)
                T.where(v % T.int64(3) < T.int64(2))
                Y[vi] = X[vi]

    after = body(PeelTails()(tvm.IRModule({"main": main})))
    assert "T.vectorized" not in after
    assert "T.where" in after
