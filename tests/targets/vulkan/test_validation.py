"""Vulkan's validation layers have nothing to say about sparse networks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import lavapipe

pytestmark = pytest.mark.vulkan

_SETTINGS = """khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error,warn,perf,info
khronos_validation.log_filename = stdout
"""
_NETWORKS = """
import torch
from torch import nn
import tvm_sparse as ts

model = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=2))
ts.prune(model.eval(), {"0": "block-4x4@0.2", "2": "block-4x4@0.2"})
x = torch.rand(1, 8, 9, 9)
compiled = ts.build(model, "vulkan", example_inputs=(x,), dtype="float16")
assert all(row.is_sparse for row in compiled.report)
assert (compiled(x) - model(x)).abs().max() < 1e-2
ts.build(ts.quantize(model, [x]), "vulkan")(x.numpy())
"""


def test_no_message_comes_from_sparse_networks(device: Any, tmp_path: Path) -> None:
    lavapipe.demand_validation_layer()
    settings = tmp_path / "vk_layer_settings.txt"
    settings.write_text(_SETTINGS)
    environment = {
        "VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation",
        "VK_LAYER_SETTINGS_PATH": str(settings),
    }
    done = subprocess.run(
        [sys.executable, "-c", _NETWORKS],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "Validation" in line]
    assert any("Khronos Validation Layer Active" in line for line in said)
    assert [line for line in said if "Validation Information" not in line] == []
