from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from tvm_sparse import artifact
from tvm_sparse.errors import ArtifactError


@pytest.fixture(scope="module")
def compiled() -> ts.Compiled:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()).eval()
    ts.prune(model, {"0": "block-8x1@0.2"})
    return ts.build(model, example_inputs=(torch.zeros(1, 16, 12, 12),))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 16, 12, 12)).astype(np.float32)


def test_a_loaded_model_gives_the_same_results_and_report(
    compiled: ts.Compiled, x: np.ndarray, tmp_path: Path
) -> None:
    loaded = ts.load(compiled.export(tmp_path / "model.so"))
    np.testing.assert_array_equal(loaded(x), compiled(x))
    assert str(loaded.report) == str(compiled.report)
    assert (loaded.inputs, loaded.outputs) == (compiled.inputs, compiled.outputs)
    assert loaded.outputs[0].shape == (1, 32, 12, 12)


def test_a_model_that_nobody_holds_leaves_memory(
    compiled: ts.Compiled, x: np.ndarray, tmp_path: Path
) -> None:
    path = compiled.export(tmp_path / "model.so")
    loaded = ts.load(path)
    y = loaded(x)
    assert str(path) in Path("/proc/self/maps").read_text()
    del loaded
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()
    np.testing.assert_array_equal(y, compiled(x))


def test_the_stock_runtime_alone_runs_the_file(
    compiled: ts.Compiled, x: np.ndarray, tmp_path: Path
) -> None:
    path = compiled.export(tmp_path / "model.so")
    np.save(tmp_path / "x.npy", x)
    code = f"""
import sys
import numpy as np
import tvm
from tvm import relax
vm = relax.VirtualMachine(tvm.runtime.load_module({str(path)!r}), tvm.cpu())
y = vm["main"](tvm.runtime.tensor(np.load({str(tmp_path / "x.npy")!r}))).numpy()
np.save({str(tmp_path / "y.npy")!r}, y)
assert not any(name.startswith("tvm_sparse") for name in sys.modules)
"""
    environment = {**os.environ, "TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), compiled(x))


def test_exporting_prints_nothing(
    compiled: ts.Compiled, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ts.load(compiled.export(tmp_path / "model.so"))
    assert capfd.readouterr() == ("", "")


def test_an_existing_file_is_replaced_and_nothing_else_is_left(
    compiled: ts.Compiled, tmp_path: Path
) -> None:
    path = tmp_path / "model.so"
    path.write_text("old")
    compiled.export(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.so"]
    artifact.read(path)


def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    compiled: ts.Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.so"
    path.write_text("old")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ArtifactError, match="apt-get install"):
        compiled.export(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.so"]


def test_paths_that_cannot_be_written_are_refused(compiled: ts.Compiled, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no folder"):
        compiled.export(tmp_path / "missing" / "model.so")
    with pytest.raises(ArtifactError, match="is a folder"):
        compiled.export(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, -1])
def test_truncated_files_are_refused_before_the_loader_sees_them(
    compiled: ts.Compiled, tmp_path: Path, keep: float
) -> None:
    path = compiled.export(tmp_path / "model.so")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if keep == 0.5 else int(keep)])
    with pytest.raises(ArtifactError, match=r"export it again"):
        ts.load(path)


def test_a_changed_byte_is_found(compiled: ts.Compiled, tmp_path: Path) -> None:
    path = compiled.export(tmp_path / "model.so")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged"):
        ts.load(path)


def test_foreign_libraries_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        ts.load(tmp_path / "missing.so")
    import tvm_ffi

    library = next(Path(tvm_ffi.__file__).parent.rglob("*.so"))
    with pytest.raises(ArtifactError, match="not exported by tvm_sparse"):
        ts.load(library)


def test_a_loaded_model_is_exported_as_a_copy_of_its_file(
    compiled: ts.Compiled, x: np.ndarray, tmp_path: Path
) -> None:
    first = compiled.export(tmp_path / "model.so")
    second = ts.load(first).export(tmp_path / "again.so")
    assert second.read_bytes() == first.read_bytes()
    np.testing.assert_array_equal(ts.load(second)(x), compiled(x))
