"""Merge databases of one machine and version: every task and every measurement once.

Lines are added behind those that are there, tasks before records: whenever it is stopped, the
folder is what it was or what it is to be, or knows tasks that have no records yet::

    A: task x, task y    B: task y, task z        C: task x, task y, task z
       [0, …]  [1, …]       [0, …]  [1, …]   →       [0, …]  [1, …]  [1, …]  [2, …]
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tvm_sparse import aside
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import folder, lines, provenance, records
from tvm_sparse.tuning.lines import Lines, Record

_Key = tuple[str, bytes]


def merge(
    sources: Iterable[str | Path], into: str | Path, *, compact: bool = False
) -> dict[str, int]:
    """Add the records of databases to another one.

    Parameters
    ----------
    sources : paths
        Folders that `tvm_sparse.tune` wrote, on one machine and with one version; left as they are.
    into : path
        A folder, made when missing; what it holds is kept. It may be one of the sources.
    compact : bool
        Add only what `tvm_sparse.build` looks at: comparisons with the default kernels. A
        search that goes on from there has to measure all other candidates anew.

    Returns
    -------
    dict of str to int
        The numbers of ``"tasks"`` and ``"records"`` that the folder holds now, and of records that
        were ``"added"``.

    Raises
    ------
    DatabaseError
        If a source is no database, they come from different machines or versions, or the folder
        cannot be written or is written by another process.
    """
    paths, goal = [Path(source) for source in sources], Path(into)
    about = _origin(paths, goal)
    with folder.locked(goal), folder.telling(goal):
        provenance.write(goal, about)
        folder.repair(goal)
        held = Lines.of(goal)
        found = _united(held, [Lines.of(path) for path in paths], compact)
        for name, content in found.files.items():
            if not (goal / name).exists() or (goal / name).read_bytes() != content:
                aside.replace(goal / name, content)
    tasks = len({record.task for record in found.records})
    added = len(found.records) - len(held.records)
    return {"tasks": tasks, "records": len(found.records), "added": added}


def _origin(paths: list[Path], goal: Path) -> provenance.About:
    """Return the origin that all folders tell; raise if they tell different ones."""
    told: list[tuple[Path, provenance.About]] = []
    for path in dict.fromkeys([*paths, goal]):
        if path in paths:
            folder.demand(path)
        about = provenance.read(path)
        if about is None and (path in paths or Lines.of(path).records):
            raise DatabaseError(f"{path} does not tell where its records come from: leave it out")
        told.extend([] if about is None else [(path, about)])
    first, expected = told[0]
    for path, about in told[1:]:
        different = provenance.unlike(about, expected)
        if different:
            here = provenance.unlike(expected, about)
            raise DatabaseError(
                f"{path} holds records of {different}, {first} of {here}: times of different "
                "machines or versions cannot be compared; merge them into different folders"
            )
    return provenance.together(about for _, about in told)


def _united(held: Lines, others: list[Lines], compact: bool) -> Lines:
    """Return the lines of a folder, and behind them those of others that it lacks, sorted."""
    found = Lines(tasks=[*held.tasks], records=[*held.records])
    places: dict[str, int] = {}
    for place, line in enumerate(held.tasks):
        places.setdefault(_task(line), place)
    known = {key for key, _ in _keyed(held, held.records)}
    new: dict[_Key, bytes] = {}
    for other in others:
        for key, line in _keyed(other, _looked_at(other) if compact else other.records):
            new[key] = min(line, new.get(key, line))
    for key in sorted(new.keys() - known):
        task, content = key
        if task not in places:
            places[task] = len(found.tasks)
            found.tasks.append(new[key])
        text = b"[%d,%s]\n" % (places[task], content)
        found.records.append(Record(text=text, task=places[task], content=[]))
    return found


def _keyed(held: Lines, some: list[Record]) -> list[tuple[_Key, bytes]]:
    """Return what makes records equal, their task and their text, and their tasks' lines."""
    names = [_task(line) for line in held.tasks]
    # The text behind the task's number stays as TVM wrote it: "[12,[[…], …]]\n".
    return [
        ((names[one.task], one.text.split(b",", 1)[1].strip()[:-1]), held.tasks[one.task])
        for one in some
    ]


def _task(line: bytes) -> str:
    """Return what makes tasks equal: for ours their identity, for others all of the line."""
    return lines.identity(line) or json.dumps(json.loads(line))


def _looked_at(held: Lines) -> list[Record]:
    """Return the records of samples that were compared with the default: these, and failures."""
    samples = [(one.task, str(lines.sample(one.content))) for one in held.records]
    pairs = list(zip(samples, held.records, strict=True))
    compared = {sample for sample, one in pairs if records.is_comparison(one.run_secs)}
    return [
        one
        for sample, one in pairs
        if sample in compared
        and (records.is_comparison(one.run_secs) or records.is_failure(one.run_secs))
    ]
