"""What becomes of candidates whose boards are lost; no board is needed to see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tvm.s_tir import meta_schedule as ms
from typer.testing import CliRunner

import tvm_sparse as ts
from support import tuning
from tvm_sparse import targets
from tvm_sparse.cli import app
from tvm_sparse.errors import DeviceError
from tvm_sparse.frontend import import_model
from tvm_sparse.rpc import tracker
from tvm_sparse.rpc.about import About
from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.tracker import Boards as Known
from tvm_sparse.tuning import failures, folder, provenance, records
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.places import boards, retrying
from tvm_sparse.tuning.places.find import find
from tvm_sparse.tuning.places.place import is_lost, lost
from tvm_sparse.tuning.places.retrying import Fleet, Retrying

LAB, KEY = Address("lab", 9190), "rpi4"
PI4 = About(machine="aarch64", cpu="Cortex-A72", cores=4, flags=("asimd", "fp"))
PI5 = replace(PI4, cpu="Cortex-A76", flags=("asimd", "asimddp", "asimdhp", "fp"))
LOST = "RPCRunner: An exception occurred\nDeviceError: " + lost("socket closed")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many boards the tracker knows, whenever it is asked; the last number stays."""
    left = [2]

    def ask(address: Address) -> list[Known]:
        number = left.pop(0) if len(left) > 1 else left[0]
        if number < 0:
            raise DeviceError("no tracker at lab:9190")
        addresses = tuple(f"10.0.0.{i}:9090" for i in range(number))
        return [Known(key=KEY, addresses=addresses, free=number, waiting=0)] if number else []

    monkeypatch.setattr(tracker, "boards", ask)
    monkeypatch.setattr(retrying, "_SETTLING", 0.0)
    monkeypatch.setattr(retrying, "_PATIENCE", 0.0)
    yield left


class Remote:
    """A runner that gives the answers it was made with, in their order."""

    def __init__(self, *answers: str | float) -> None:
        self.answers = list(answers)

    def run(self, inputs: Sequence[Any]) -> list[Remote]:
        return [self for _ in inputs]

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return ms.runner.RunnerResult(None, answer)
        return ms.runner.RunnerResult([answer], None)


def ran(*answers: str | float) -> tuple[list[float], str | None]:
    runner: Any = Retrying(Remote(*answers), Fleet(LAB, KEY, 2))
    (future,) = runner.run([ms.runner.RunnerInput("candidate.so", "cpu", [])])
    found = future.result()
    return [float(time) for time in found.run_secs or []], found.error_msg


def test_a_candidate_whose_board_is_gone_runs_on_another(known: list[int]) -> None:
    known[:] = [1]
    assert ran(LOST, 0.5) == ([0.5], None)


def test_a_candidate_that_ends_two_sessions_of_boards_that_stay_has_crashed(
    known: list[int],
) -> None:
    times, error = ran(LOST, LOST, 0.5)
    assert not times
    assert not is_lost(error)
    assert failures.reason(str(error)) == "crashed"


def test_boards_that_die_one_by_one_are_no_crashes(known: list[int]) -> None:
    known[:] = [1, 2, 1, 2]
    assert ran(LOST, LOST, LOST, 0.5) == ([0.5], None)


def test_without_boards_a_candidate_is_lost_and_not_wrong(known: list[int]) -> None:
    known[:] = [0]
    assert ran(LOST) == ([], lost("the tracker lab:9190 has lost all 'rpi4' boards"))
    known[:] = [-1]
    assert ran(LOST) == ([], lost("no tracker at lab:9190"))


def test_boards_that_give_no_session_are_lost_and_no_candidate_is_wrong(known: list[int]) -> None:
    reason = lost("no session on a board 'rpi4': none was free for 120 s")
    assert ran(*[f"Traceback\nDeviceError: {reason}"] * 3) == ([], reason)


def test_a_board_that_does_not_answer_is_lost(known: list[int]) -> None:
    known[:] = [1]
    assert ran("RPCRunner: An exception occurred\nSubprocess terminated", 0.5) == ([0.5], None)


def test_errors_of_candidates_are_told_as_they_are(known: list[int]) -> None:
    wrong = "ValueError: wrong output: relative error 2.0"
    assert ran(f"RPCRunner: An exception occurred\n{wrong}") == ([], wrong)


def offered(monkeypatch: pytest.MonkeyPatch, *abouts: About) -> None:
    """Let the boards of the tracker be these."""
    left = list(abouts)

    class Held:
        def __init__(self) -> None:
            self.about = left.pop()

    @contextmanager
    def board(key: str, address: Address) -> Iterator[Held]:
        yield Held()

    monkeypatch.setattr(boards, "board", board)


def test_boards_of_different_kinds_are_not_mixed(
    known: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, PI4, PI5)
    with pytest.raises(DeviceError, match=r"boards 'rpi4' are of different kinds: .* of its own"):
        find("rpi4", "lab", KEY)


def test_all_boards_of_a_kind_are_used_and_named_where_records_come_from(
    known: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, PI4, replace(PI4, governor="performance"))
    place = find("rpi4", "lab", KEY)
    assert isinstance(place, boards.Boards)
    assert place.number == 2
    about = {"cpu": "Cortex-A72", "cores": "4", "microarchitecture": "cortex-a72", "board": KEY}
    assert about.items() <= place.origin.items()


def test_a_tracker_without_a_key_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"by their tracker and their key, e.g. tracker="):
        find("rpi4", tracker="lab")


@pytest.mark.parametrize("verb", ["tune", "profile"])
def test_the_command_line_takes_a_tracker_and_a_key(verb: str) -> None:
    command = [verb, "model.onnx", "--target", "rpi4", "--tracker", "127.0.0.1:9", "--key", "rpi4"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, DeviceError)
    assert str(result.exception).startswith("no tracker at 127.0.0.1:9")


def test_build_uses_here_what_was_measured_on_a_board(tmp_path: Path) -> None:
    target = targets.load("rpi4")
    (task,) = extract(import_model(tuning.model(), (tuning.X,), None), target)
    other = next(one for one in tuning.samples(task, 2) if one != task.default)
    origin = provenance.told(target, PI4, "cortex-a72")
    with folder.writing(tmp_path, target, origin) as database:
        tuning.record(database, task, task.default, [[2e-3] * records.ROUNDS])
        tuning.record(database, task, other, [[1e-3] * records.ROUNDS])
    options: dict[str, Any] = {"example_inputs": tuning.X, "database": tmp_path}
    (row,) = ts.build(tuning.model(), "rpi4", **options).report.rows
    assert row.reason == "tuned: 1 ms alone, 2.00× as fast as predicted best"
    with pytest.warns(UserWarning, match=r"is ignored: its records are of cores 4"):
        ts.build(tuning.model(), replace(target, cores=1), **options)
    with pytest.warns(UserWarning, match=r"is ignored: its records are of target rpi4"):
        ts.build(tuning.model(), "rpi5", **options)
