from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import tvm_sparse as ts
from support.tables import formula_table
from tvm_sparse.cli import app
from tvm_sparse.errors import ConfigError
from tvm_sparse.planning.plan import Plan
from tvm_sparse.workflow import report
from tvm_sparse.workflow.config import parse
from tvm_sparse.workflow.folder import Folder
from tvm_sparse.workflow.run import run
from tvm_sparse.workflow.shared import Shared
from tvm_sparse.workflow.variant import Variant

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_exported.py"
CONFIG = """
[data]
size = 8
[model]
width = 32
[train]
epochs = 1
[plan]
budget = "1.2x"
correct = false
formats = ["one_by_n-4"]
images = 32
trials = 3
[fine_tune]
epochs = 1
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run's folder, and the stages that it told of; nothing is measured for the table."""
    told: list[str] = []
    path = tmp_path_factory.mktemp("run") / "digits.toml"
    path.write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        _no_profile(patch)
        run(path, done=lambda stage, found: told.append(stage))
    return path.with_suffix(""), told


def _no_profile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tvm_sparse.workflow.shared.profile", lambda *args, **rest: formula_table())
    patch.setattr("tvm_sparse.workflow.shared.read", lambda *args: formula_table())
    patch.setattr("tvm_sparse.workflow.measure._ROUNDS", (3, 1))
    patch.setattr("tvm_sparse.workflow.measure._TURNS", 2)
    patch.setattr("tvm_sparse.workflow.placements._LOADS", (2, 2))
    patch.setattr("tvm_sparse.workflow.placements._WATCHED", 2)


def test_all_stages_run_in_order(done: tuple[Path, list[str]]) -> None:
    folder, told = done
    stages = ("planned", "pruned", "fine_tuned", "quantized", "tuned", "built", "verified")
    plans = ("search 1.2x",)
    assert told[:3] == ["train", "profile", "dense"] and told[-1] == "report"
    assert told[3:-1] == [f"{plan}: {stage}" for plan in plans for stage in stages]
    assert (folder / "search-1.2x" / "sparse.so").is_file()


def test_what_was_built_answers_as_torch_does(done: tuple[Path, list[str]]) -> None:
    found = json.loads((done[0] / "search-1.2x" / "verify.json").read_text())
    assert found["error"] < 1e-4
    trained = json.loads((done[0] / "search-1.2x" / "fine_tune.json").read_text())
    assert found["accuracy"] == pytest.approx(trained["accuracy"])
    assert found["predicted"] == found["by_table"] > 0  # no other plan was measured before
    assert found["sparse"] > 0 and any(kernel["stored"] for kernel in found["kernels"])


def test_zeros_stay_through_fine_tuning(done: tuple[Path, list[str]]) -> None:
    before, after = (torch.load(done[0] / "search-1.2x" / f"{n}.pt") for n in ("pruned", "model"))
    for name, weight in before.items():
        if name.endswith("conv1.weight"):
            assert (after[name][weight == 0] == 0).all()
            assert (after[name] != weight).any()


def test_stages_that_ended_are_not_repeated(
    done: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **rest: Any) -> None:
        raise AssertionError("repeated")

    for name in ("shared.Shared._train", "shared.profile", "shared.build", "variant.build"):
        monkeypatch.setattr(f"tvm_sparse.workflow.{name}", never)
    monkeypatch.setattr("tvm_sparse.workflow.variant.Variant._fine_tune", never)
    found = CliRunner().invoke(app, ["run", str(done[0].with_suffix(".toml"))])
    assert found.exit_code == 0, found.output
    for row in ("torch", "ours, dense", "ours, search 1.2x"):
        assert f"│ {row} " in found.stdout
    assert f"exported to {done[0] / 'search-1.2x' / 'sparse.so'} (" in found.stdout
    assert found.stdout.endswith(f"report: {done[0] / 'report.html'}\n")


def test_the_stock_runtime_alone_answers_like_what_was_built(done: tuple[Path, list[str]]) -> None:
    built = done[0] / "search-1.2x"
    command = [sys.executable, str(SCRIPT), str(built / "sparse.so"), str(built / "answers.npz")]
    environment = {**os.environ, "TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "alone: 64 of 64 predictions are the same" in found.stdout, found.stderr


def test_layers_become_int8_after_what_was_done_before(
    done: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **rest: Any) -> None:
        raise AssertionError("repeated")

    shutil.copytree(done[0], tmp_path / "bytes")
    (tmp_path / "bytes.toml").write_text(CONFIG + "[quantize]\nbits = 8\nskip = ['fc']\n")
    _no_profile(monkeypatch)
    monkeypatch.setattr("tvm_sparse.workflow.shared.Shared._train", never)
    monkeypatch.setattr("tvm_sparse.workflow.variant.Variant._fine_tune", never)
    (one,) = run(tmp_path / "bytes.toml")
    found = one.quantized
    assert found["layers"] == 9 and found["accuracy"] >= found["before"] - 0.03
    assert one.verified["error"] < 0.02
    assert one.verified["accuracy"] == pytest.approx(found["accuracy"], abs=0.01)
    stored = {kernel["name"]: kernel["stored"] for kernel in one.verified["kernels"]}
    assert stored["conv1"].endswith("/8") and stored["fc"].endswith("/32")
    assert "<td>9 int8</td>" in (tmp_path / "bytes" / "report.html").read_text()


def test_a_budget_of_bytes_gives_layers_few_bits_and_keeps_the_accuracy(
    done: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_profile(monkeypatch)
    shutil.copytree(done[0], tmp_path / "short")
    text = CONFIG.replace("trials = 3", "errors = 'magnitude'\nbits = [32, 16, 4]")
    config, folder = parse(tomllib.loads(text)), Folder(tmp_path / "short")
    shared = Shared(config=config, folder=folder, tell=lambda *_: None)
    assert list(shared.profiled_short) == ["int4", "bfloat16"]
    slots, before = shared.planner.latencies.slots, shared.trained["accuracy"]
    halves = [next(o for o in slot.options if o.scheme.bits == 16) for slot in slots]
    limit = sum(option.nbytes for option in halves) - 1000  # a little less than 16 bits take
    other = {"fc": 4, "conv1": 32}  # the few weights of the first layer fit again
    plan = shared.planner.plan(f"{limit:.0f}B", "dp")
    assert {name: one.scheme.bits for name, one in plan.layers.items()} == {
        name: other.get(name, 16) for name in plan.layers
    }
    variant = Variant(shared=shared, strategy="dp", budget="300KB")
    known = {"plan": plan, "folder": folder, "model": shared.dense}
    variant.__dict__ |= {**known, "fine_tuned": {"accuracy": before}}
    found = variant._quantize()
    assert found["bits"] == {"bfloat16": 8, "int4": 1} and found["layers"] == 9
    assert found["accuracy"] == pytest.approx(before, abs=0.01)
    built = ts.load(folder.path / "rounded.so").report
    assert built.nbytes == pytest.approx(plan.nbytes, rel=0.01) and plan.nbytes <= limit


def test_a_run_that_is_stopped_goes_on_where_it_was(
    done: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any, **rest: Any) -> None:
        raise KeyboardInterrupt

    shutil.copytree(done[0], tmp_path / "run")
    (tmp_path / "run.toml").write_text(CONFIG)
    place = tmp_path / "run" / "search-1.2x"
    for name in ("build.json", "verify.json", "sparse.so"):
        (place / name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr("tvm_sparse.workflow.variant.build", stop)
        stopped = CliRunner().invoke(app, ["run", str(tmp_path / "run.toml")])
    assert stopped.exit_code != 0 and "the same command goes on from there" in stopped.stderr
    assert (place / "tune.json").exists() and not (place / "build.json").exists()
    _no_profile(monkeypatch)
    monkeypatch.setattr("tvm_sparse.workflow.variant.Variant._fine_tune", stop)
    (one,) = run(tmp_path / "run.toml")
    assert one.verified["error"] < 1e-4 and (place / "sparse.so").exists()


@pytest.mark.parametrize("method", ["exact_obs", "admm"])
def test_methods_that_need_data_or_training_get_them(
    method: str, done: tuple[Path, list[str]], tmp_path: Path
) -> None:
    config = parse(tomllib.loads(CONFIG + f"[prune]\nmethod = '{method}'\nimages = 32\n"))
    shared = Shared(config=config, folder=Folder(done[0]), tell=lambda *_: None)
    variant = Variant(shared=shared, strategy="search", budget="1.2x")
    plan = Plan.read(variant.folder.path / "plan.json")
    variant.__dict__ |= {"plan": plan, "folder": Folder(tmp_path)}
    assert 0 < variant._prune()["accuracy"] <= 1
    with np.load(tmp_path / "masks.npz") as masks:
        for name, scheme in plan.items():
            assert masks[name].mean() == pytest.approx(scheme.density, abs=0.03)
    name = next(iter(plan))
    before = torch.load(done[0] / "dense.pt")[f"{name}.weight"]
    after = torch.load(tmp_path / "pruned.pt")[f"{name}.weight"]
    assert ((after != before) & (after != 0)).any()


def test_the_page_needs_no_other_file_and_shows_all_pictures(
    done: tuple[Path, list[str]],
) -> None:
    page = (done[0] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page and 'src="data' in page
    pictures = {path.stem for path in (done[0] / "report").glob("*.png")}
    assert pictures == {"pareto", "layers", "predictions", "masks", "curves"}
    found = CliRunner().invoke(app, ["report", str(done[0])])
    assert found.stdout == f"wrote {done[0] / 'report.html'}\n"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder of a run"):
        report.write(tmp_path)
    (tmp_path / "run.json").write_text('{"config": {}, "variants": ["search 2x"]}')
    with pytest.raises(ConfigError, match="nothing was measured in"):
        report.write(tmp_path)


def test_without_matplotlib_the_extra_is_named(
    done: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tvm-sparse\[report\]'"):
        report.write(done[0])
