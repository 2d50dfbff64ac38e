from __future__ import annotations

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tvm_sparse as ts
from support import kernels, relax
from support.models import settle
from support.naive import naive_loops
from tvm_sparse.bench import rivals
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes.fold_constants import FoldConstants
from tvm_sparse.relay_passes.widen_signals import WidenSignals


class Signal(nn.Module):
    """Strides, dilation, groups, pooling, a residual and a norm without a layer before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 5, stride=2, dilation=2, padding=3)
        self.norm = nn.BatchNorm1d(8)
        self.depthwise = nn.Conv1d(8, 8, 3, groups=8, padding=1)
        self.grouped = nn.Conv1d(8, 16, 3, groups=2, padding="same")
        self.same = nn.Conv1d(16, 16, 9, padding=4, bias=False)
        self.last = nn.BatchNorm1d(16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(F.relu(self.norm(self.first(x))), 3, 2, 1)
        x = F.gelu(self.grouped(F.silu(self.depthwise(x) + x)))
        x = F.avg_pool1d(self.same(x) * 2 + x, 2)
        y: Tensor = self.last(torch.clamp(x, -1, 1))
        return y


@pytest.fixture
def signal() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return settle(Signal()), torch.randn(3, 4, 77)


def test_signals_become_images_of_height_one(signal: tuple[nn.Module, Tensor]) -> None:
    mod = relax.apply(FoldConstants(), import_model(signal[0], (signal[1],)))
    ops = relax.ops(relax.apply(WidenSignals(), mod))
    assert ops.count("nn.conv2d") == 4
    assert not {"nn.conv1d", "squeeze", "expand_dims"} & set(ops)
    assert [op for op in ops if op == "reshape"] == ["reshape"] * 2  # at the two ends


def test_pruned_signals_equal_torch_and_reshapes_between_kernels_copy_nothing(
    signal: tuple[nn.Module, Tensor],
) -> None:
    model, x = signal
    ts.prune(model, {"first": "unstructured@0.3", "same": "block_punched-4x1@0.1"})
    compiled = ts.build(model, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    found = {row.name: row for row in compiled.report}
    assert list(found) == ["first", "depthwise", "grouped", "same"]
    assert found["same"].is_sparse
    assert found["same"].weight == (16, 16, 1, 9)
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []
    copies = [var for var in compiled.mod.get_global_vars() if "reshape" in var.name_hint]
    assert len(copies) == 1  # of the result, in whose place a view must not stand


def test_signals_of_onnx_files_pool_as_images_too(signal: tuple[nn.Module, Tensor]) -> None:
    model, x = signal
    proto = onnx.load_from_string(rivals.onnx_bytes(model, x))
    mod = relax.apply(FoldConstants(), import_model(proto))
    ops = relax.ops(relax.apply(WidenSignals(), mod))
    assert {"nn.max_pool2d", "nn.avg_pool2d"} <= set(ops)
    with torch.inference_mode():
        kernels.assert_close(ts.build(proto)(x.numpy()), model(x))


def test_what_is_no_signal_stays() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm1d(5))
    x = torch.randn(2, 5, 8)
    mod = relax.apply(FoldConstants(), import_model(settle(model), (x,)))
    assert relax.ops(relax.apply(WidenSignals(), mod)) == relax.ops(mod)
