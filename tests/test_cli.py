from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels


def run(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tvm_sparse", *args],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()).eval()
    ts.prune(model, {"0": "block-8x1@0.1"})
    path = tmp_path_factory.mktemp("model") / "model.pt2"
    torch.export.save(torch.export.export(model, (torch.zeros(1, 16, 28, 28),)), path)
    return path


def test_build_writes_a_library_that_report_explains(program: Path, tmp_path: Path) -> None:
    library = tmp_path / "model.so"
    built = run("build", str(program), "-o", str(library))
    assert "1 of 1 layers sparse" in built.stdout
    assert f"wrote {library}" in built.stdout
    shown = run("report", str(library))
    assert "inputs: input: float32 (1, 16, 28, 28)" in shown.stdout
    assert "block-8x1@" in shown.stdout
    content = json.loads(run("report", str(library), "--json").stdout)
    assert content["layers"][0]["weight"] == [32, 16, 3, 3]
    assert content["sizes"]["dense_float32"] == 4 * 32 * 16 * 3 * 3
    assert content["footprint"]["activations"] == 32 * 28 * 28 * 4
    assert "no layout conversions between kernels\nmemory: 98 KiB of activations" in shown.stdout


def test_build_quantizes_by_samples(program: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((4, 1, 16, 28, 28), np.float32))
    library = tmp_path / "model.so"
    options = ["--quantize", str(tmp_path / "x.npy"), "--calibration", "mse", "--equalize"]
    built = run("build", str(program), "-o", str(library), *options)
    assert "1 of 1 layers int8, 1 sparse" in built.stdout
    assert "18 KiB dense in float32, 4 KiB dense in int8, 2 KiB as CSR" in built.stdout
    x = np.ones((1, 16, 28, 28), np.float32)
    with torch.no_grad():
        expected = torch.export.load(program).module()(torch.from_numpy(x)).numpy()
    kernels.assert_close(ts.load(library)(x), expected, 0.02)


def test_build_stores_weights_in_fewer_bits(program: Path, tmp_path: Path) -> None:
    built = run("build", str(program), "-o", str(tmp_path / "model.so"), "--bits", "16")
    assert "1 of 1 layers in 16 bits, 1 sparse" in built.stdout


def test_build_writes_an_executable(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "model"
    built = run("build", str(program), "-o", str(path), "--kind", "executable")
    assert f"wrote {path}" in built.stdout
    told = subprocess.run([path, "--time"], capture_output=True, text=True, check=True).stdout
    assert len(json.loads(told)["seconds"]) == 1
    assert "1 of 1 layers sparse" in run("report", str(path)).stdout


def test_build_speaks_json(program: Path, tmp_path: Path) -> None:
    content = json.loads(run("build", str(program), "-o", str(tmp_path / "m.so"), "--json").stdout)
    assert Path(content["output"]).is_file()
    assert content["layers"][0]["stored"].startswith("block-8x1@")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("build", "missing.onnx", "-o", "x.so"), "no such file: missing.onnx"),
        (("build", "PROGRAM", "-o", "/no/such/folder/x.so"), "no folder /no/such/folder"),
        (("build", "PROGRAM", "-o", "x.so", "--target", "riscv"), "unknown target 'riscv'"),
        (("merge", "tests", "--into", "all"), "tests is no database: expected"),
        (("report", "PROGRAM"), "was not exported by tvm_sparse"),
        (("bench", "layers", "--sets", "alexnet"), "unknown layer set 'alexnet'"),
        (("bench", "networks", "--names", "alexnet"), "unknown network 'alexnet'"),
        (("bench", "networks", "--schemes", "nm@2"), "density"),
        (("bench", "regret", "--sets", "alexnet"), "unknown layer set 'alexnet'"),
    ],
)
def test_mistakes_end_in_one_line(args: tuple[str, ...], message: str, program: Path) -> None:
    done = run(*(str(program) if arg == "PROGRAM" else arg for arg in args), status=1)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr


def test_numbers_that_are_none_are_usage_errors() -> None:
    done = run("bench", "layers", "--zeros", "many", status=2)
    assert "--zeros" in done.stderr


def test_list_names_every_member_of_every_family() -> None:
    text = run("list").stdout
    for name in ("block_punched", "x86-avx2", "magnitude", "resnet50", "bert"):
        assert name in text
    found = json.loads(run("list", "--json").stdout)
    from tvm_sparse.bench import layers, networks

    assert tuple(found["networks"]) == networks.names()
    assert tuple(found["layer sets"]) == layers.SETS


def test_schemes_without_a_density_are_measured_at_every_sparsity() -> None:
    from tvm_sparse.cli.bench import _schemes

    assert _schemes("one_by_n-4,filter@0.5", "50,90") == [
        "one_by_n-4@0.5",
        "one_by_n-4@0.1",
        "filter@0.5",
    ]


def test_doctor_finds_what_this_machine_has() -> None:
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)}
    assert checks["apache-tvm"]["good"]
    assert checks["C++ compiler"]["good"]
    assert checks["Vulkan"]["optional"]
    assert "ok       torch" in run("doctor").stdout


def test_merge_tells_what_the_folder_holds(tmp_path: Path) -> None:
    from support import tuning
    from tvm_sparse.tuning import folder

    task = tuning.task()
    for name in ("one", "two"):
        with folder.writing(tmp_path / name, task.target) as database:
            tuning.record(database, task, task.default, [1.0 if name == "one" else 2.0])
    folders = [str(tmp_path / name) for name in ("one", "two", "all")]
    content = json.loads(run("merge", *folders[:2], "--into", folders[2], "--json").stdout)
    assert content == {"database": folders[2], "tasks": 1, "records": 2, "added": 2}


def test_every_command_shows_an_example() -> None:
    commands = ("build", "tune", "merge", "report", "list", "doctor")
    benches = ("bench layers", "bench networks", "bench regret", "bench tune")
    for command in (*commands, *benches):
        assert "Example" in run(*command.split(), "--help").stdout


def test_bench_prints_a_table_and_json() -> None:
    args = "bench layers --limit 1 --zeros 80 --filters 8 --threads 1 --rounds 1".split()
    text = run(*args).stdout
    assert "| 3→64 7×7 @224 /2 |" in text
    assert "Machine: " in text
    content = json.loads(run(*args, "--json").stdout)
    (row,) = content["rows"]
    assert row["zeros"] == pytest.approx(0.8, abs=0.01)
    assert len(row["sparse"]["rounds"]) == 1
    assert set(row["rivals"]) == set(content["engines"])


def test_devices_names_the_tracker_that_does_not_answer() -> None:
    done = run("devices", "--tracker", "127.0.0.1:9", status=1)
    assert "no tracker at 127.0.0.1:9" in done.stderr
    assert "python -m tvm.exec.rpc_tracker" in done.stderr
