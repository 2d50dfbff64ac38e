"""The scripts that users run, at small size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import mnn_environment

ROOT = Path(__file__).parents[2]


def run(script: str, *args: str, status: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *args],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, Path]:
    import numpy as np
    import torch

    import tvm_sparse as ts

    model = torch.nn.Linear(4, 3).eval()
    images = np.eye(4, dtype=np.float32)
    library = ts.build(model, example_inputs=(torch.zeros(1, 4),)).export(tmp_path / "m.so")
    with torch.inference_mode():
        predictions = model(torch.from_numpy(images)).argmax(1).numpy()
    np.savez(tmp_path / "m.npz", images=images, predictions=(predictions + 1) % 3)
    return library, tmp_path / "m.npz"


def test_other_predictions_of_the_stock_runtime_are_a_failure(
    exported: tuple[Path, Path],
) -> None:
    arguments = [str(path) for path in exported]
    text = run("run_exported.py", *arguments, status=1, TVM_DEVICE_BACKEND_AUTOLOAD="0")
    assert "alone: 0 of 4 predictions are the same" in text


def test_benchmarks_of_layers_and_networks_measure() -> None:
    layers = "--limit 1 --zeros 80 --filters 8 --threads 1 --rounds 1 --json".split()
    assert len(json.loads(run("bench_layers.py", *layers))["rows"]) == 1
    networks = "--names resnet18 --schemes block-8x1@0.2 --size 32 --threads 1 --rounds 1 --json"
    (row,) = json.loads(run("bench_networks.py", *networks.split()))["rows"]
    assert row["case"] == "resnet18"
    assert row["error"] < 1e-4
    regret = "--sets bert --limit 1 --zeros 90 --schemes block-8x1 --rounds 1 --json"
    (row,) = json.loads(run("bench_regret.py", *regret.split()))["rows"]
    assert row["chosen"] in row["times"]
    assert row["regret"] >= 0


SMALL = "--names resnet18 --schemes block-4x4 --zeros 90 --size 32 --threads 1 --rounds 1 --json"


def test_mnn_is_measured_in_its_own_environment(tmp_path: Path) -> None:
    """The whole script, with environments that are already there, so that nothing is installed."""
    ours, theirs = tmp_path / "venv", mnn_environment.make(tmp_path / "mnn")
    for name in ("python", "python3"):
        mnn_environment.python(ours / "bin" / name)
    stamps = """
        echo "$(cat pyproject.toml constraints.txt | cksum) bench $(python3 --version) $PWD" >"$0"
        PATH="${0%/*}/bin:$PATH"
        echo "$(cksum <scripts/mnn.txt) $(python3 --version)" >"$1"
    """
    files = [str(folder / "ready") for folder in (ours, theirs)]
    subprocess.run(["bash", "-c", stamps, *files], check=True, cwd=ROOT)
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/bench_mnn.sh"), *SMALL.split()],
        capture_output=True,
        text=True,
        env={**os.environ, "TVM_SPARSE_VENV": str(ours), "TVM_SPARSE_MNN": str(theirs)},
    )
    assert done.returncode == 0, done.stderr
    assert "setting up" not in done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert {"mnn", "mnn sparse"} <= set(row["rivals"])
    assert row["scheme"] == "block-4x4@0.1"


def test_without_its_environment_the_error_says_how_to_make_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/bench_mnn.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "TVM_SPARSE_MNN": str(tmp_path / "none")},
    )
    assert done.returncode == 1
    assert f"no MNN in {tmp_path / 'none'}: bash scripts/bench_mnn.sh installs it" in done.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.sh")), ids=lambda p: p.name)
def test_shell_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
