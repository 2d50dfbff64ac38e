from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import tvm_sparse as ts
from tvm_sparse import targets
from tvm_sparse.cli import app
from tvm_sparse.errors import DatabaseError, ModelError
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import file
from tvm_sparse.profiling.cells import Network
from tvm_sparse.profiling.lowered import Called, Lowered
from tvm_sparse.profiling.network import estimate, guess
from tvm_sparse.profiling.profile import Progress, _Session, simplified
from tvm_sparse.profiling.read import read
from tvm_sparse.profiling.rounds import Rounds

X = torch.randn(1, 16, 12, 12, generator=torch.Generator().manual_seed(0))
MIDDLE = Layer(
    op="conv2d", weight=(32, 32, 3, 3), input=(1, 12, 12), padding=(1, 1, 1, 1), name="middle"
)
FORMATS, DENSITIES = ["one_by_n-4"], [0.2, 0.5]
PLAIN, RESIDUAL = Epilogue(0, 2), Epilogue(1, 3)


class Net(nn.Module):
    """A network of two layers of one kind, one of which adds a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(16, 32, 1)
        self.middle = nn.Conv2d(32, 32, 3, padding=1)
        self.other = nn.Conv2d(32, 32, 3, padding=1)
        self.last = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        y = torch.relu(self.middle(x))
        y = torch.relu(self.other(y) + x)
        found: torch.Tensor = self.last(torch.softmax(y.mean((2, 3)), -1))
        return found


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LatencyTable, list[Progress]]:
    told: list[Progress] = []
    path = tmp_path_factory.mktemp("logs") / "x86"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tvm_sparse.profiling.profile._ROUNDS", (2, 3))
        patch.setattr("tvm_sparse.profiling.profile._FINER", 0)
        patch.setattr("tvm_sparse.profiling.profile._AGAIN", 0)
        table = ts.profile(
            net(),
            example_inputs=X,
            schemes=FORMATS,
            densities=DENSITIES,
            bits=(32, 8),
            database=path,
            progress=told.append,
        )
    return path, table, told


Profiled = tuple[Path, LatencyTable, list[Progress]]


def test_every_cell_of_the_grid_is_measured_in_the_network(profiled: Profiled) -> None:
    _, table, told = profiled
    wanted = {f"{form}@{density}/32" for form in FORMATS for density in DENSITIES}
    for epilogue in (PLAIN, RESIDUAL):
        found = [
            cell for cell in table.cells if (cell.key, cell.epilogue) == (MIDDLE.key, epilogue)
        ]
        cells = {str(cell.scheme): cell for cell in found}
        assert wanted | {"dense@1.0/32"} <= set(cells)
        assert all(cell.seconds > 0 and cell.runs >= 1 for cell in cells.values())
        assert cells["one_by_n-4@0.2/32"].kernel.startswith("one_by_n-4@0.19")
    first = [cell for cell in table.cells if cell.key.startswith("conv2d-32x16x1x1")]
    assert [str(cell.scheme) for cell in first] == ["dense@1.0/32", "dense@1.0/8"]
    (softmax,) = (cell for cell in table.cells if cell.key.startswith("fast_softmax"))
    assert softmax.terms == {} and softmax.seconds > 0
    coarse = next(state for state in told if state.stage == "coarse grid")
    assert coarse.done == coarse.total > 0


def test_the_same_layers_are_measured_as_bytes(profiled: Profiled) -> None:
    _, table, _ = profiled
    found = {str(c.scheme): c for c in table.cells if c.key == MIDDLE.key and c.scheme.bits == 8}
    assert set(found) == {"dense@1.0/8", "one_by_n-4@0.2/8", "one_by_n-4@0.5/8"}
    assert all(cell.seconds > 0 and cell.kernel for cell in found.values())
    keys = {cell.key for cell in table.cells}
    assert "quantize 1x32x12x12 1x8x12x12" in keys
    other = table.latency(MIDDLE, "block_punched-8x4@0.2/8")
    dense = table.latency(MIDDLE, "dense@1.0/8")
    assert dense.measured and not other.measured and 0 < other.seconds < dense.seconds


def test_a_quantized_network_is_the_sum_of_its_kernels(profiled: Profiled) -> None:
    model = net()
    found = estimate(ts.quantize(model, [X], skip=["last"]), profiled[1])
    parts = {part.name: part for part in found.parts}
    assert parts["middle"].stored == "dense@1.0/8" and parts["middle"].latency.measured
    assert parts["last"].stored.endswith("/32")
    assert 0 < found.seconds < estimate(model, profiled[1], example_inputs=X).seconds


def test_the_table_answers_for_measured_and_other_cells(profiled: Profiled) -> None:
    table = profiled[1]
    assert table.latency(MIDDLE, "one_by_n-4@0.2").measured
    other = table.latency(MIDDLE, "one_by_n-4@0.33")
    assert not other.measured and other.spread > 0
    sparse, dense = table.latency(MIDDLE, "one_by_n-4@0.2"), table.latency(MIDDLE)
    assert 0 < other.seconds and sparse.seconds < dense.seconds
    assert table.provenance["target"] == "x86"


def test_a_second_call_measures_nothing_again(profiled: Profiled) -> None:
    path, table, _ = profiled
    told: list[Progress] = []
    ts.profile(
        net(),
        example_inputs=X,
        schemes=FORMATS,
        densities=DENSITIES,
        time=0.0,
        database=path,
        progress=told.append,
    )
    assert told[-1].done == told[-1].total == 0
    assert len(file.cells(path)) >= len(table)


def test_a_pruned_network_is_the_sum_of_its_kernels(profiled: Profiled) -> None:
    model = net()
    ts.prune(model, {"middle": "one_by_n-4@0.2", "other": "one_by_n-4@0.3"})
    found = estimate(model, profiled[1], example_inputs=X)
    parts = {part.name: part for part in found.parts}
    assert parts["middle"].latency == profiled[1].latency(MIDDLE, "one_by_n-4@0.2", PLAIN)
    assert not parts["other"].latency.measured
    assert parts["middle"].stored.startswith("one_by_n-4@0.19")
    assert found.seconds == pytest.approx(sum(part.latency.seconds for part in found.parts))
    assert 0 < found.rest < found.seconds and 0 < found.measured < 1


def test_operators_never_measured_are_guessed_by_their_size(profiled: Profiled) -> None:
    table = profiled[1]
    (softmax,) = (cell for cell in table.cells if cell.key.startswith("fast_softmax"))
    name = softmax.key.split()[0]
    assert guess(f"{name} 1x64 1x64", table).seconds == pytest.approx(2 * softmax.seconds)
    assert guess("unheard_of 1x64 1x64", table).seconds > 0


def test_attention_never_measured_is_guessed_by_its_multiply_adds() -> None:
    cell = Cell(
        key=f"attention {' '.join(['768x128'] * 4)}",
        scheme=DENSE,
        epilogue=Epilogue(0, 0),
        seconds=266e-6,
        spread=0.01,
        runs=8,
    )
    found = guess(f"attention {' '.join(['384x197'] * 4)}", LatencyTable([cell]))
    assert found.seconds == pytest.approx(266e-6 * (384 * 197**2) / (768 * 128**2))
    assert not found.measured


def test_the_command_line_goes_on_from_there(profiled: Profiled, tmp_path: Path) -> None:
    torch.export.save(torch.export.export(net(), (X,)), tmp_path / "model.pt2")
    options = ["--formats", "one_by_n-4", "--densities", "0.2,0.5", "--time", "0", "--json"]
    model = str(tmp_path / "model.pt2")
    done = CliRunner().invoke(app, ["profile", model, *options, "--out", str(profiled[0])])
    found = json.loads(done.stdout)
    assert found["table"] == str(profiled[0]) and found["cells"] >= len(profiled[1])
    report = ["bench", "latency", "--table", str(profiled[0]), "--json"]
    done = CliRunner().invoke(app, report)
    accuracy = json.loads(done.stdout)["held_out"]["cells"]
    assert 0 <= accuracy["within"] <= 1 and accuracy["number"] >= 8


def test_a_table_opened_without_a_predictor_cannot_estimate(profiled: Profiled) -> None:
    bare = LatencyTable(file.cells(profiled[0]))
    with pytest.raises(DatabaseError, match=r"the table has no predictor: open it with"):
        estimate(net(), bare, example_inputs=X)
    assert len(read(profiled[0], targets.load("x86"))) == len(bare)


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no convolution or linear layer"):
        ts.profile(nn.ReLU(), example_inputs=X, database=tmp_path)


class Stopped(Rounds):
    """An operator that is timed three times, before the user presses Ctrl-C."""

    def run(self) -> None:
        if len(self.rounds) == 3:
            raise KeyboardInterrupt
        self.rounds.append(np.array([1e-5]))

    def remove(self) -> None:
        self.calls = []


def test_the_rounds_that_ran_before_ctrl_c_are_kept(tmp_path: Path) -> None:
    target, nothing = targets.load("x86"), cast(Any, None)
    rounds = Stopped([Called(name="softmax", key="softmax 1x8 1x8")])
    with file.writing(tmp_path, target) as writer:
        session = _Session(nothing, target, [], writer, nothing, None)
        with pytest.raises(KeyboardInterrupt):
            session._run([Network(schemes={}, rounds=rounds)])
    (cell,) = file.cells(tmp_path)
    assert (cell.key, cell.seconds, cell.runs) == ("softmax 1x8 1x8", 1e-5, 3)
    assert session.table.cells == [cell] and not rounds.calls


class Disturbed(Rounds):
    """Kernels of 10 µs each that are disturbed in the first network that runs."""

    networks = 0

    def __init__(self, calls: list[Called]) -> None:
        super().__init__(calls)
        type(self).networks += 1
        self.slower = 0.1 if self.networks == 1 else 0.0

    def run(self) -> None:
        self.rounds.append(np.full(len(self.calls), 1e-5 * (1 + self.slower * len(self.rounds))))

    def remove(self) -> None: ...


class Made:
    """Stands for `InPlace`, and builds nothing."""

    def build(self, lowered: Lowered, wanted: Any) -> Rounds:
        return Disturbed(lowered.calls)


def test_cells_whose_rounds_differ_are_measured_once_more(tmp_path: Path) -> None:
    target, told = targets.load("x86"), list[Progress]()
    mod = simplified(import_model(net(), X, None), target)
    with file.writing(tmp_path, target) as writer:
        session = _Session(mod, target, [], writer, cast(Any, Made()), None, tell=told.append)
        session.run(FORMATS, DENSITIES)
    table = session.table
    first = [cell for cell in file.cells(tmp_path) if cell.spread > 0.05]
    assert first and all(cell.spread < 0.05 for cell in table.cells if cell.terms)
    assert all(1e-5 <= cell.seconds < 1.01e-5 for cell in table.cells if cell.terms)
    assert told[-1].stage == "unsteady cells again 1"
