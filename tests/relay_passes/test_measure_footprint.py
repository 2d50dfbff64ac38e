# mypy: ignore-errors
from __future__ import annotations

import pytest
import torch
import tvm
from torch import nn
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

import tvm_sparse as ts
from support.models import Perceptron
from tvm_sparse import targets
from tvm_sparse.footprint import Footprint
from tvm_sparse.relay_passes.measure_footprint import measure_footprint
from tvm_sparse.report import Report

# fmt: off


@I.ir_module(s_tir=True)
class Planned:
    """A transpose, a copy, a padding and a scaled transpose, two of them in the same memory."""

    @T.prim_func(private=True, s_tir=True)
    def transpose(X: T.Buffer((8, 5), "float32"), Y: T.Buffer((5, 8), "float32")):
        for i, j in T.grid(5, 8):
            with T.sblock("move"):
                vi, vj = T.axis.remap("SS", [i, j])
                Y[vi, vj] = X[vj, vi]

    @T.prim_func(private=True, s_tir=True)
    def copy(X: T.Buffer((5, 8), "float32"), Y: T.Buffer((40,), "float32")):
        for i in range(40):
            with T.sblock("move"):
                vi = T.axis.spatial(40, i)
                Y[vi] = X[vi // 8, vi % 8]

    @T.prim_func(private=True, s_tir=True)
    def pad(X: T.Buffer((40,), "float32"), Y: T.Buffer((48,), "float32")):
        for i in range(48):
            with T.sblock("move"):
                vi = T.axis.spatial(48, i)
                Y[vi] = T.if_then_else(vi < 40, X[T.min(vi, 39)], T.float32(0))

    @T.prim_func(private=True, s_tir=True)
    def scale(X: T.Buffer((6, 8), "float32"), Y: T.Buffer((8, 6), "float32")):
        for i in T.parallel(8):
            with T.sblock("root"):
                vi = T.axis.spatial(8, i)
                row = T.sblock_alloc_buffer((6,), "float32")
                sums = T.sblock_alloc_buffer((6,), "float32", scope="local")
                for j in range(6):
                    with T.sblock("pack"):
                        vj = T.axis.spatial(6, j)
                        row[vj] = X[vj, vi]
                        sums[vj] = X[vj, vi]
                for j in range(6):
                    with T.sblock("scale"):
                        vj = T.axis.spatial(6, j)
                        Y[vi, vj] = row[vj] * T.float32(2) + sums[vj]

    @R.function
    def main(x: R.Tensor((8, 5), "float32")) -> R.Tensor((8, 6), "float32"):
        R.func_attr({"relax.force_pure": True})
        cls = Planned
        one = R.vm.alloc_storage(R.shape([192]), R.prim_value(0), R.dtype("uint8"))
        a = R.vm.alloc_tensor(one, R.prim_value(0), R.shape([5, 8]), R.dtype("float32"))
        cls.transpose(x, a)
        two = R.vm.alloc_storage(R.shape([160]), R.prim_value(0), R.dtype("uint8"))
        b = R.vm.alloc_tensor(two, R.prim_value(0), R.shape([40]), R.dtype("float32"))
        cls.copy(a, b)
        R.vm.kill_object(a)
        R.vm.kill_object(two)
        c = R.vm.alloc_tensor(one, R.prim_value(0), R.shape([48]), R.dtype("float32"))
        cls.pad(b, c)
        R.vm.kill_object(b)
        R.vm.kill_object(one)
        v = R.call_packed("vm.builtin.reshape", c, R.shape([6, 8]), ty_args=(R.Tensor((6, 8), "float32"),))  # noqa: E501
        R.vm.kill_object(c)
        out = R.vm.alloc_storage(R.shape([192]), R.prim_value(0), R.dtype("uint8"))
        y = R.vm.alloc_tensor(out, R.prim_value(0), R.shape([8, 6]), R.dtype("float32"))
        R.vm.kill_object(out)
        cls.scale(v, y)
        R.vm.kill_object(v)
        return y

# fmt: on


def test_kernels_that_only_move_a_tensor_are_conversions() -> None:
    assert measure_footprint(Planned).conversions == 2


def test_memory_lives_as_long_as_a_view_of_what_lies_in_it() -> None:
    found = measure_footprint(Planned)
    assert found.activations == 192 + 192
    assert found.unshared == 160 + 160 + 192 + 192


@pytest.mark.parametrize(("threads", "copies"), [(1, 1), (2, 2), (64, 8)])
def test_every_thread_has_a_workspace_but_registers_are_none(threads: int, copies: int) -> None:
    assert measure_footprint(Planned, threads).workspace == copies * 6 * 4


def build(model: nn.Module, x: torch.Tensor, scheme: str | None = None) -> ts.Compiled:
    if scheme is not None:
        ts.prune(model, dict.fromkeys(["up", "down"], scheme))
    return ts.build(model.eval(), example_inputs=(x,))


def test_linear_layers_of_many_rows_are_transposed_at_their_ends_alone() -> None:
    torch.manual_seed(0)
    compiled = build(Perceptron(256, 512), torch.randn(128, 256), "block-4x4@0.1")
    tiles = [row.is_sparse and "positions" in row.kernel for row in compiled.report]
    assert tiles == [True, True]
    assert compiled.report.footprint.conversions == 2


def test_convolutions_convert_nothing_and_constants_count_once() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 16, 3, padding=1)
    x = torch.randn(2, 16, 11, 13)
    once = build(nn.Sequential(conv, nn.ReLU()), x).report.footprint
    twice = build(nn.Sequential(conv, nn.ReLU(), conv, nn.ReLU()), x).report.footprint
    image = x.numel() * 4
    assert (once.conversions, once.activations, once.unshared) == (0, image, image)
    assert (twice.conversions, twice.activations, twice.unshared) == (0, 2 * image, 2 * image)
    assert once.constants == 16 * 16 * 9 * 4 + 16 * 4 + 16 * 9 * 4
    assert 0 < once.workspace < 2 * 16 * 13 * 15 * 4 * targets.load("x86").cores * 2


def test_memory_of_a_deep_network_does_not_grow_with_its_depth() -> None:
    layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(6)]
    x = torch.randn(1, 8, 12, 12)
    found = build(nn.Sequential(*layers), x).report.footprint
    assert found.unshared == 6 * x.numel() * 4
    assert found.activations == 2 * x.numel() * 4


def test_the_report_tells_the_footprint_and_carries_it_as_json() -> None:
    known = Footprint(
        conversions=1, activations=2048, unshared=4096, workspace=512, constants=10240
    )
    report = Report([], footprint=known)
    text = str(report)
    assert "1 layout conversion between kernels" in text
    assert "memory: 2 KiB of activations at most (4 KiB if none were shared)" in text
    assert "10 KiB of constants" in text
    assert Report.from_json(report.to_json()).footprint == known


def test_reports_of_older_files_know_no_footprint() -> None:
    report = Report.from_json('{"layers": [], "notes": []}')
    assert report.footprint is None
    assert "memory" not in str(report)


def test_the_pipeline_of_tvm_alone_is_measured_as_well() -> None:
    mod = tvm.IRModule.from_expr(Planned["transpose"].with_attr("global_symbol", "main"))
    found = measure_footprint(mod)
    assert found == Footprint(conversions=0, activations=0, unshared=0, workspace=0, constants=0)
