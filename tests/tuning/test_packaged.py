from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
import tvm
from tvm import relax

import tvm_sparse as ts
from support import tuning
from tvm_sparse import targets
from tvm_sparse.choose import Choice, choose
from tvm_sparse.doctor import examine
from tvm_sparse.tuning import folder, packaged, records
from tvm_sparse.tuning.decide import tuned
from tvm_sparse.tuning.lines import RECORDS
from tvm_sparse.tuning.task import task_of

LAYER, TARGET = tuning.POINTWISE, targets.load("x86")
WEIGHT = tuning.pruned(LAYER)
TASK = task_of(choose(LAYER, WEIGHT, TARGET), WEIGHT, TARGET)


def write(path: Path, seconds: float, number: int = 0) -> str:
    """Write a database in which a sample is faster than the default; return its kernel."""
    sample = tuning.samples(TASK, 3)[number]
    chosen = TASK.chosen(sample)
    assert chosen is not None and sample != TASK.default
    with folder.writing(path, TARGET) as database:
        tuning.record(database, TASK, TASK.default, [[1.0] * records.ROUNDS])
        tuning.record(database, TASK, sample, [[seconds] * records.ROUNDS])
    return str(chosen.kernel)


def pretend(path: Path, **about: str) -> None:
    """Let a database come from another machine or version."""
    file = path / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **about}))


def decided(database: Path | None = None) -> Choice:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return tuned(database, TARGET).layers(LAYER, WEIGHT, TARGET)


def built(**options: object) -> ts.Report:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, *LAYER.weight[1:2], *LAYER.input[1:]), "float32"))
    with builder.function("main", [x]):
        y = builder.emit(relax.op.nn.conv2d(x, relax.const(WEIGHT, "float32")))
        builder.emit_func_output(y)
    module: tvm.IRModule = builder.get()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ts.build(module, **options).report  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packaged, "FOLDER", tmp_path / "tuning_logs")
    return tmp_path / "tuning_logs" / "x86" / "here"


def test_what_is_packaged_for_this_machine_is_used_by_default(place: Path) -> None:
    kernel = write(place, 0.5)
    pretend(place, cpu="the same under another name", flags="", governor="other")
    report = built()
    assert report.rows[0].kernel == kernel
    assert report.rows[0].reason.startswith("tuned: 500 ms alone, 2.00× as fast")
    assert report.notes == []
    assert built(database=False).rows[0].reason.startswith("predicted")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("microarchitecture", "z80"),
        ("vectors", "sse"),
        ("caches", "1 2"),
        ("cores", "1000"),
        ("tvm", "0.1"),
        ("tvm_sparse", "0.0"),
    ],
)
def test_what_is_packaged_for_another_is_not(name: str, value: str, place: Path) -> None:
    write(place, 0.5)
    pretend(place, **{name: value})
    assert packaged.find(TARGET) is None
    expected = f"packaged records of x86 are not used, they are of {name} {value}: "
    assert packaged.remark(TARGET).startswith(expected)


def test_the_report_and_the_doctor_say_so_and_nobody_is_warned(place: Path) -> None:
    write(place, 0.5)
    pretend(place, cores="1000")
    report = built()
    assert report.rows[0].reason.startswith("predicted")
    (note,) = report.notes
    assert "of cores 1000: kernels are chosen by prediction" in note
    (check,) = (check for check in examine() if check.name == "tuned records")
    assert (check.detail, check.good, check.optional) == (note, False, True)


def test_of_several_the_one_for_this_machine_is_found(place: Path) -> None:
    write(place, 0.5)
    write(place.parent / "another", 0.25)
    pretend(place.parent / "another", cores="1000")
    assert packaged.find(TARGET) == place
    assert packaged.remark(TARGET) == ""
    (check,) = (check for check in examine() if check.name == "tuned records")
    assert check.good and "1 kind of layer" in check.detail


def test_what_the_user_measured_comes_first(place: Path, tmp_path: Path) -> None:
    write(place, 0.5)
    kernel = write(tmp_path / "own", 0.8, number=1)
    assert str(decided(tmp_path / "own").kernel) == kernel


def test_layers_that_the_users_database_lacks_are_looked_up_in_the_packaged(
    place: Path, tmp_path: Path
) -> None:
    kernel = write(place, 0.5)
    task = tuning.task()
    with folder.writing(tmp_path / "own", TARGET) as database:
        tuning.record(database, task, task.default, [1.0])
    assert str(decided(tmp_path / "own").kernel) == kernel


def test_a_packaged_database_that_is_broken_is_not_used(place: Path) -> None:
    write(place, 0.5)
    (place / RECORDS).unlink()
    assert decided().reason.startswith("predicted")
    assert "is no database" in packaged.remark(TARGET)
    (place / RECORDS).write_text("")
    (place / "provenance.json").write_text("{")
    assert decided().reason.startswith("predicted")
    assert "cannot read" in packaged.remark(TARGET)


def test_every_packaged_database_is_whole_and_of_this_version() -> None:
    for file in packaged.FOLDER.rglob("provenance.json"):
        about = json.loads(file.read_text())
        assert about["target"] == file.relative_to(packaged.FOLDER).parts[0]
        assert about["tvm_sparse"] == version("tvm_sparse"), f"{file.parent}: tune again"
        assert records.read(file.parent)
        assert all(one.compared for known in records.read(file.parent).values() for one in known)
