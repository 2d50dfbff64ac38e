from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, models, programs, zoo
from tvm_sparse import artifact
from tvm_sparse.errors import ArtifactError, ModelError

X = torch.randn(1, 16, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network for a Raspberry Pi 4, and its input beside it."""
    compiled = ts.build(models.small(), "rpi4", example_inputs=X)
    path = compiled.export(tmp_path_factory.mktemp("program") / "model", kind="executable")
    np.save(path.with_name("x.npy"), X.numpy())
    return path


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    if name == "mixed":
        return models.mixed()
    model, shape = zoo.networks()[name]
    return model.eval(), torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.arm
@pytest.mark.parametrize("target", ["rpi4", "armv7"])
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("mixed", "one_by_n-4@0.3"),
        ("encoder", "block-4x1@0.3"),
        ("channel shuffle", "unstructured@0.3"),
        ("squeeze and excite", "nm-2x4@0.5"),
    ],
)
def test_a_network_computes_the_same(name: str, scheme: str, target: str, tmp_path: Path) -> None:
    model, x = network(name)
    ts.prune(model, scheme)
    compiled = ts.build(model, target, example_inputs=(x,))
    path = compiled.export(tmp_path / "model", kind="executable")
    (y,) = programs.outputs(path, [x.numpy()], 1, "--threads", "2", target=target)
    kernels.assert_close(y, model(x).detach().numpy())


@pytest.mark.arm
def test_a_phone_computes_the_same(tmp_path: Path) -> None:
    compiled = ts.build(models.small(), "android", example_inputs=X)
    path = compiled.export(tmp_path / "model", kind="executable")
    (y,) = programs.outputs(path, [X.numpy()], 1, target="android")
    kernels.assert_close(y, models.small()(X).detach().numpy())


@pytest.mark.arm
@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_threads_compute_the_same_run_after_run(program: Path, threads: str) -> None:
    options = ["--threads", threads, "--repeat", "20", "--time"]
    (y,) = programs.outputs(program, [X.numpy()], 1, *options)
    kernels.assert_close(y, models.small()(X).detach().numpy())


def test_an_executable_for_this_machine_runs_here(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.softmax(x + y, -1), x

    inputs = (torch.randn(3, 5), torch.randn(5))
    compiled = ts.build(Two().eval(), "x86", example_inputs=inputs)
    path = compiled.export(tmp_path / "model", kind="executable")
    for name, value in zip("xy", inputs, strict=True):
        np.save(tmp_path / f"{name}.npy", value.numpy())
    files = [f"{name}.npy" for name in "xyuv"]
    subprocess.run([path, *files], cwd=tmp_path, check=True)
    u, v = (np.load(tmp_path / f"{name}.npy") for name in "uv")
    kernels.assert_close(u, torch.softmax(inputs[0] + inputs[1], -1).numpy())
    np.testing.assert_array_equal(v, inputs[0].numpy())


@pytest.mark.arm
def test_help_tells_inputs_outputs_and_options(program: Path) -> None:
    text = programs.call(program, "--help").stdout
    assert re.search(r": float32 \(1, 16, 12, 12\)\noutputs:\n .*: float32 \(1, 10\)", text)
    assert "compiled for rpi4" in text
    assert {"--threads", "--repeat", "--time", "--cpus"} <= set(re.findall(r"--\w+", text))


@pytest.mark.arm
def test_times_are_a_line_of_json(program: Path) -> None:
    options = ["--time", "--kernels", "--repeat", "3", "--threads", "1", "--copies", "2"]
    told = json.loads(programs.call(program, *options, "--least", "0.01").stdout)
    assert told["threads"] == 1
    assert len(told["seconds"]) == 3
    assert min(told["seconds"]) > 0
    assert any("conv2d" in name and seconds > 0 for name, seconds in told["kernels"])


@pytest.mark.arm
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["x.npy"], "expected 1 .npy files for inputs and 1 for outputs, got 1; see"),
        (["none.npy", "y.npy"], "cannot read none.npy: No such file"),
        (
            ["shape.npy", "y.npy"],
            r"float32 \(1, 16, 12, 12\), shape.npy holds '<f4' \(1, 8",
        ),
        (["type.npy", "y.npy"], "must be float32 .*, type.npy holds '<f8'"),
        (["cut.npy", "y.npy"], "cut.npy is damaged: expected 9216 bytes of values"),
        (["text.npy", "y.npy"], "text.npy is no .npy file: write it with numpy.save"),
        (["fortran.npy", "y.npy"], "fortran.npy is in Fortran's order"),
        (["--threads", "0"], "--threads takes a whole number from 1, got '0'"),
        (["--quick", "x.npy", "y.npy"], "unknown option --quick; see --help"),
        (["--cpus", "999", "x.npy", "y.npy"], "there is no CPU 999"),
    ],
)
def test_wrong_use_is_told(program: Path, arguments: list[str], word: str) -> None:
    folder, x = program.parent, X.numpy()
    np.save(folder / "shape.npy", x[:, :8])
    np.save(folder / "type.npy", x.astype(np.float64))
    np.save(folder / "fortran.npy", np.asfortranarray(x))
    (folder / "cut.npy").write_bytes((folder / "x.npy").read_bytes()[:-4])
    (folder / "text.npy").write_text("1 2 3")
    done = programs.call(program, *arguments)
    assert done.returncode == 2
    assert re.search(word, done.stderr)


@pytest.mark.arm
def test_a_cpu_without_the_instructions_is_told(tmp_path: Path) -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    compiled = ts.build(Sum().eval(), "rpi5", example_inputs=(torch.ones(64, dtype=torch.half),))
    path = compiled.export(tmp_path / "model", kind="executable")
    done = programs.call(path, "--time")
    assert done.returncode == 3
    assert "this CPU lacks instructions that the model was compiled for: rpi5" in done.stderr


def test_the_file_tells_what_it_is(program: Path) -> None:
    found = artifact.read(program)
    assert (found.kind, found.target, found.cores) == ("executable", "rpi4", 4)
    with pytest.raises(ArtifactError, match=r"is an executable: run it, see .* --help"):
        ts.load(program)


def test_a_loaded_library_makes_no_executable(tmp_path: Path) -> None:
    compiled = ts.build(nn.ReLU(), example_inputs=(torch.ones(4),))
    loaded = ts.load(compiled.export(tmp_path / "model.so"))
    with pytest.raises(ArtifactError, match="is linked already: export it from the model"):
        loaded.export(tmp_path / "model", kind="executable")
    with pytest.raises(ArtifactError, match="expected kind 'library' or 'executable', got 'exe'"):
        compiled.export(tmp_path / "model", kind="exe")  # type: ignore[arg-type]


def test_what_needs_tvms_runtime_is_refused_by_name(tmp_path: Path) -> None:
    class Sorts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.argsort(x, -1)

    compiled = ts.build(Sorts().eval(), "rpi4", example_inputs=(torch.randn(3, 5),))
    with pytest.raises(ModelError, match=r"needs tvm\.contrib\.sort.*kind='library'"):
        compiled.export(tmp_path / "model", kind="executable")
    assert not list(tmp_path.iterdir())
