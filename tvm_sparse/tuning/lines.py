"""A database's two files as text: what is whole in them, and what it says, without TVM.

TVM reads and applies a record in half a millisecond, which is fine for tuning and too slow for
every build. The text tells the same: a task's line holds its module, a record's its decisions::

    ["1234…", "base64 of the module, which states the task's identity"]
    [0, [[instructions, [[2, 5], …]], [9.3e-05, …], target, arguments]]
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from tvm_sparse.tuning.space import Sample

WORKLOADS = "database_workload.json"
RECORDS = "database_tuning_record.json"
IDENTITY = "tvm_sparse.task"  # the module's attribute
SPACE = "space"  # the annotation that is no decision
_STRING, _MAP = "ffi.String", "ffi.Map"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of the records: its text, the line of its task from 0, and what was measured."""

    text: bytes
    task: int
    content: list[Any]

    @property
    def run_secs(self) -> list[float]:
        """Times in seconds."""
        return [float(time) for time in self.content[1]]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The whole lines of a database.

    Parameters
    ----------
    tasks : list of bytes
    records : list of Record
    """

    tasks: list[bytes]
    records: list[Record]

    @classmethod
    def of(cls, path: Path) -> Lines:
        """Read a folder, without broken lines; a record needs its task's line.

        Tasks are numbered by their lines, so that none counts after a broken one.
        """
        lines = _lines(path / RECORDS)  # first: what is added meanwhile has its task
        tasks = list(takewhile(_pair, _lines(path / WORKLOADS)))
        pairs = ((line, _pair(line)) for line in lines)
        records = [Record(text=line, task=pair[0], content=pair[1]) for line, pair in pairs if pair]
        known = [one for one in records if one.task in range(len(tasks))]
        return cls(tasks=tasks, records=known)

    @property
    def files(self) -> dict[str, bytes]:
        """What the two files should hold, by name; tasks first, for records need them."""
        records = b"".join(one.text for one in self.records)
        return {WORKLOADS: b"".join(self.tasks), RECORDS: records}

    def entries(self) -> Iterator[tuple[str, Sample, list[float]]]:
        """Yield each record's task, by identity, its sample, and its times in seconds."""
        names = [identity(line) for line in self.tasks]
        for one in self.records:
            if names[one.task]:
                yield names[one.task], sample(one.content), one.run_secs


def identity(line: bytes) -> str:
    """Return the identity that a task's line states; empty if the task is none of ours."""
    _, module = json.loads(line)
    nodes = json.loads(base64.b64decode(module)[8:])["nodes"]  # behind its length
    named = {node["data"]: place for place, node in enumerate(nodes) if node["type"] == _STRING}
    for node in nodes:
        pairs = node["data"] if node["type"] == _MAP else []  # of places: key, value, key, …
        values = dict(zip(pairs[::2], pairs[1::2], strict=True))
        if named.get(IDENTITY) in values:
            return str(nodes[values[named[IDENTITY]]]["data"])
    return ""


def sample(record: list[Any]) -> Sample:
    """Return the decisions that a record's trace writes down."""
    instructions, decisions = record[0]
    decided = dict(decisions)
    values: dict[str, int] = {}
    space, point = "", {}
    for place, (kind, inputs, attrs, outputs) in enumerate(instructions):
        if kind == "SampleCategorical":
            values[outputs[0]] = attrs[0][decided[place]]
        elif kind == "Annotate" and attrs[0] == SPACE:
            space = json.loads(inputs[1])
        elif kind == "Annotate":
            point[attrs[0]] = values[inputs[1]]
    return Sample(space=space, point=point)


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True) if file.exists() else []


def _pair(line: bytes) -> list[Any]:
    """Return the two things that a line states; nothing if it is not whole."""
    try:
        parsed = json.loads(line) if line.endswith(b"\n") else []
    except ValueError:
        return []
    return parsed if isinstance(parsed, list) and len(parsed) == 2 else []
