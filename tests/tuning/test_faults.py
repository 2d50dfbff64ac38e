from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from support import faults, tuning
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import candidate, folder, records
from tvm_sparse.tuning.lines import RECORDS, WORKLOADS, Lines
from tvm_sparse.tuning.places import here
from tvm_sparse.tuning.progress import Progress, Tally, Watch
from tvm_sparse.tuning.tune import tune_tasks

TASK = tuning.task()
TESTS = Path(__file__).parents[1]


def test_a_search_survives_candidates_that_crash_hang_err_or_exhaust_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = (faults.crash, faults.hang, faults.exhaust, faults.err)
    monkeypatch.setattr(candidate, "run", faults.Faulty(candidate.run, wrong))
    monkeypatch.setattr(here, "_RUN_SECONDS", 2.0)
    told: list[Progress] = []
    tune_tasks([TASK], TASK.target, tmp_path, trials=7, workers=1, tell=told.append)
    reasons = told[-1].failures
    assert {why: reasons[why] for why in sorted(reasons) if "wrong output" not in why} == {
        "crashed": 1,
        "ran out of memory": 1,
        "took longer than 2 s": 1,
    }
    assert sum("wrong output: relative error" in why for why in reasons) == 1
    assert told[-1].done == told[-1].total == 7
    (measured,) = records.by_task(folder.reading(tmp_path)).values()
    assert sorted(one.failures for one in measured) == [0] * (len(measured) - 4) + [1] * 4
    assert len(measured) >= 7


TUNE = """
import sys
from pathlib import Path
from support import tuning
from tvm_sparse.tuning.tune import tune_tasks
task = tuning.task()
tune_tasks([task], task.target, Path(sys.argv[1]), trials=int(sys.argv[2]), workers=1)
"""


@contextmanager
def tuning_elsewhere(path: Path, trials: int) -> Iterator[subprocess.Popen[bytes]]:
    """Tune in a process of its own, whose temporary files lie beside the database."""
    temporary = path.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    places = os.pathsep.join([str(TESTS), *sys.path])
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": places}
    command = [sys.executable, "-c", TUNE, str(path), str(trials)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def whole(path: Path) -> list[bytes]:
    return [one.text for one in Lines.of(path).records]


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_loses_nothing_and_leaves_nobody(
    tmp_path: Path,
) -> None:
    path, rng = tmp_path / "logs", random.Random(0)
    for number in (1, 3, 8):
        with tuning_elsewhere(path, trials=12) as process:
            while process.poll() is None and len(whole(path)) < number:
                time.sleep(0.05)
            time.sleep(rng.random())
            workers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
        before = whole(path)
        assert before
        assert not psutil.wait_procs(workers, timeout=60)[1]  # some were just starting
        with folder.writing(path, TASK.target):  # repairs what the kill cut off
            assert whole(path) == before
    with tuning_elsewhere(path, trials=12) as process:
        assert process.wait() == 0
    assert whole(path)[: len(before)] == before
    (measured,) = records.read(path).values()
    assert len(measured) >= 12
    assert not [*(tmp_path / "tmp").iterdir()]


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let files of this process grow up to a size in bytes: writes fail as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_is_told_and_keeps_what_was_written(tmp_path: Path) -> None:
    with folder.writing(tmp_path, TASK.target) as database:
        tuning.record(database, TASK, TASK.default, [1.0])
    before = whole(tmp_path)
    size = (tmp_path / RECORDS).stat().st_size
    with pytest.raises(DatabaseError, match=r"^2 of the measurements could not be written into"):
        with folder.writing(tmp_path, TASK.target) as database, room(size + 100):
            tuning.record(database, TASK, TASK.default, [2.0, 3.0])
            assert (tmp_path / RECORDS).stat().st_size == size + 100
    assert whole(tmp_path) == before
    assert (tmp_path / RECORDS).read_bytes() == b"".join(before)
    with folder.writing(tmp_path, TASK.target) as database:
        tuning.record(database, TASK, TASK.default, [4.0])
    assert len(whole(tmp_path)) == 2


def test_a_task_that_finds_no_room_takes_its_records_with_it(tmp_path: Path) -> None:
    other = tuning.task(tuning.POINTWISE)
    with folder.writing(tmp_path, TASK.target) as database:
        tuning.record(database, TASK, TASK.default, [1.0])
    with pytest.raises(DatabaseError, match=r"^1 of the measurements"):
        with folder.writing(tmp_path, TASK.target) as database:
            with room((tmp_path / WORKLOADS).stat().st_size + 100):
                tuning.record(database, other, other.default, [2.0])
    assert set(records.read(tmp_path)) == {TASK.identity}


def test_the_search_ends_once_the_disk_is_full(tmp_path: Path) -> None:
    tally = Tally([TASK], 3, None, lambda state: None)

    class Scheduler:
        tasks_ = ()

    with pytest.raises(DatabaseError, match=r"make room|mend that"):
        with folder.writing(tmp_path, TASK.target) as database:
            watch = Watch([TASK], tally, database)._inst  # the Python object
            watch.apply(Scheduler(), 0, [], [], [])
            assert not tally.over
            with room(100):
                tuning.record(database, TASK, TASK.default, [1.0])
            watch.apply(Scheduler(), 0, [], [], [])
            assert tally.over


def test_a_folder_that_vanishes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "logs"
    with pytest.raises(DatabaseError, match=r"could not be written into .*logs: .*folder is gone"):
        with folder.writing(path, TASK.target) as database:
            tuning.record(database, TASK, TASK.default, [1.0])
            shutil.rmtree(path)
            tuning.record(database, TASK, TASK.default, [1.0])


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Let nobody write into a folder; root, who may write everywhere, mounts it so."""
    path.chmod(0o555)
    mounts = os.geteuid() == 0
    bind = ["mount", "--bind", str(path), str(path)]
    if mounts and subprocess.run(bind, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("root may write everywhere, and cannot mount here")
    try:
        if mounts:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield
    finally:
        if mounts:
            subprocess.run(["umount", str(path)], check=True)
        path.chmod(0o755)


def test_a_read_only_folder_is_told_and_still_read(tmp_path: Path) -> None:
    with folder.writing(tmp_path / "logs", TASK.target) as database:
        tuning.record(database, TASK, TASK.default, [1.0])
    (tmp_path / "logs" / "lock").unlink()
    with read_only(tmp_path / "logs"):
        with pytest.raises(DatabaseError, match=r"cannot write the database .*: name another"):
            with folder.writing(tmp_path / "logs", TASK.target):
                pass
        assert set(records.read(tmp_path / "logs")) == {TASK.identity}
        assert len(folder.reading(tmp_path / "logs")) == 1


def write_in_turns(path: Path, number: int) -> None:
    """Add records one by one, whenever nobody else writes."""
    left = number
    while left:
        try:
            with folder.writing(path, TASK.target) as database:
                tuning.record(database, TASK, TASK.default, [float(left)])
                left -= 1
        except DatabaseError as error:
            assert "another process tunes into" in str(error), error
        time.sleep(0.002)


WRITE = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("here", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.write_in_turns(Path(sys.argv[2]), 30)
"""


def test_two_processes_that_write_in_turns_lose_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, "-c", WRITE, __file__, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as other:
        while not (tmp_path / RECORDS).exists() and other.poll() is None:
            time.sleep(0.01)
        write_in_turns(tmp_path, 30)
        assert other.wait() == 0
    (measured,) = records.by_task(folder.reading(tmp_path)).values()
    assert sorted(measured[0].times) == sorted([*range(1, 31)] * 2)
    assert len((tmp_path / WORKLOADS).read_bytes().splitlines()) == 1
