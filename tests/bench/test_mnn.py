"""MNN's worker and its protocol, with stand-ins for MNN's modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from support import mnn_environment
from tvm_sparse.bench import mnn, rivals, table
from tvm_sparse.bench.run import Row, measure_layers
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.errors import TvmSparseError


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = mnn_environment.make(tmp_path / "mnn")
    monkeypatch.setenv(mnn.VARIABLE, str(folder))
    return folder


@pytest.fixture
def case() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU()).eval()
    return model, torch.randn(2, 3, 9, 11)


def measured() -> Row:
    times = Times(rounds=(0.001,))
    return Row(
        case="resnet18",
        set="networks",
        scheme="one_by_n-4@0.1",
        zeros=0.9,
        threads=1,
        sparse=times,
        dense=times,
        rivals={},
        gflops=1.0,
        of_peak=0.1,
        error=0.0,
        stored="",
    )


def test_an_environment_makes_two_engines_of_its_version(environment: Path) -> None:
    found = rivals.installed()
    assert found["mnn"] == found["mnn sparse"] == mnn_environment.VERSION


@pytest.mark.parametrize("part", ["bin/python", "lib"])
def test_half_an_environment_is_none(environment: Path, part: str) -> None:
    (environment / part).rename(environment / "gone")
    assert mnn.installed() is None
    assert {"mnn", "mnn sparse"} <= set(rivals.missing())


def test_without_an_environment_the_table_names_both_as_missing() -> None:
    assert "Not installed, so not measured: mnn, mnn sparse." in table.markdown([measured()])


def test_a_worker_verifies_runs_and_tells_its_own_time(
    environment: Path, case: tuple[nn.Module, torch.Tensor]
) -> None:
    worker = rivals.prepare("mnn", *case, 1)
    assert isinstance(worker, mnn.Worker)
    assert 0 <= worker.error < 1e-6
    assert 0 < worker() < 1
    assert 0 < worker.seconds(3) < 3
    worker.close()
    assert worker._process.returncode == 0


def test_callables_with_a_clock_are_timed_by_it() -> None:
    class Clock:
        def __call__(self) -> float:
            return self.seconds(1)

        def seconds(self, repeats: int) -> float:
            return 0.5 * repeats

    assert interleaved({"clock": Clock()}, rounds=2, least=2.0)["clock"].rounds == (0.5, 0.5)


@pytest.mark.parametrize(
    ("engine", "options"), [("mnn", [(0, None)]), ("mnn sparse", [(1, None), (1, 4)])]
)
def test_zeros_are_looked_for_in_single_filters_and_in_blocks_of_four(
    environment: Path,
    case: tuple[nn.Module, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    options: list[tuple[int, int | None]],
) -> None:
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    rivals.prepare(engine, *case, 1)
    found = []
    for line in (tmp_path / "log").read_text().splitlines():
        detect, text = line.split(" ", 1)
        algorithms = json.loads(text).get("algo")
        params = algorithms[0]["pruneParams"] if algorithms else None
        assert params is None or params["type"] == "SIMD_OC"
        blocks = params["simdOcPrunerParams"]["ocBlocks"][0] if params else None
        found.append((int(detect), blocks))
    assert found == options


@pytest.mark.parametrize(
    ("fault", "message"),
    [("results", "MNN differs from torch by 1.0e-02"), ("converter", "MNN could not convert")],
)
def test_what_mnn_gets_wrong_is_not_timed(
    environment: Path,
    case: tuple[nn.Module, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    message: str,
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    with pytest.raises(TvmSparseError, match=message):
        rivals.prepare("mnn", *case, 1)


def test_layers_meet_only_the_engines_that_ignore_zeros(environment: Path) -> None:
    (row,) = measure_layers("bert", [0.8], [16], threads=1, rounds=1, limit=1)
    assert "mnn" in row.rivals
    assert "mnn sparse" not in row.rivals


def test_figures_of_engines_that_are_not_measured_are_quoted_with_their_source() -> None:
    row = measured()
    text = table.markdown([row])
    assert "- DeepSparse on resnet18, pruned layers, unstructured: " in text
    assert "1.81× at 80%" in text
    assert "SPDY" in text
    assert "on resnet50" not in text
    assert table.to_json([row])["quoted"][0]["ratios"][90] == 2.78
