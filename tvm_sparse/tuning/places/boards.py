"""A tracker's boards as the place where candidates run, by TVM's RPC.

Candidates are built and linked here, and sent to whichever board is free: as many run at a time as
there are boards. Each has a session of its own, which ends with it if it crashes or hangs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import fit, tracker
from tvm_sparse.rpc.about import About
from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.board import board
from tvm_sparse.targets import Target
from tvm_sparse.tuning import provenance, worker
from tvm_sparse.tuning.places import session
from tvm_sparse.tuning.places.place import EVALUATOR, Outcome, Place, is_lost, run
from tvm_sparse.tuning.places.retrying import Fleet, Retrying

_SESSION = 60  # seconds after which a board ends a session


class Boards(Place):
    """Boards that are alike; made by `boards`.

    Parameters
    ----------
    target : Target
    tracker : Address
    key : str
        What the tracker calls them.
    about : About
        What each of them is.
    number : int
        How many there are.
    gpu : dict of str to str, optional
        The name and driver of their GPU, if the target is one.
    """

    def __init__(
        self,
        target: Target,
        tracker: Address,
        key: str,
        about: About,
        number: int,
        gpu: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(target)
        self.tracker, self.key, self.about, self.number = tracker, key, about, number
        self.gpu = gpu

    @property
    def origin(self) -> provenance.About:
        """Of the boards; all are the same machine."""
        named = str(self.target.tvm.get("mcpu", "generic"))
        told = provenance.told(self.target, self.about, named, self.gpu)
        return {**told, "board": self.key}

    def runner(self, folder: Path) -> Any:
        """Return a runner that uses all boards, and those that are left when one is lost."""
        remote = ms.runner.RPCRunner(
            rpc_config=ms.runner.RPCConfig(
                tracker_host=self.tracker.host,
                tracker_port=self.tracker.port,
                tracker_key=self.key,
                session_timeout_sec=_SESSION,
            ),
            evaluator_config=EVALUATOR,
            f_create_session=partial(worker.plainly, session.open_, self.about),
            f_upload_module=partial(worker.plainly, session.send),
            f_alloc_argument=session.allocate,
            f_run_evaluator=partial(worker.plainly, session.run, folder, self.target.is_gpu),
            f_cleanup=session.close,
            max_workers=self.number,
            initializer=partial(worker.prepare, folder),
        )
        return Retrying(remote, Fleet(self.tracker, self.key, self.number))

    def compare(
        self, runner: Any, groups: Sequence[Sequence[str]], rounds: int
    ) -> list[list[Outcome]]:
        """Run the candidates of each group in turns; a round of a group stays on one board."""
        together = [_together(group) for group in groups]
        paths = [path for path in together if path for _ in range(rounds)]
        results = iter(run(runner, paths, self.device))
        found = []
        for group, path in zip(groups, together, strict=True):
            mine = [next(results) for _ in range(rounds if path else 0)]
            guilty = any(one.error_msg and not is_lost(one.error_msg) for one in mine)
            if guilty and len(group) > 1:  # one of them, and the session tells not which
                found += super().compare(runner, [group], rounds)
            else:
                found.append(_outcomes(len(group), mine))
        return found


def boards(target: Target, tracker_: Address, key: str) -> Boards:
    """Return the boards of a tracker, once it is sure that they can run a target's code.

    Those that are free are asked what they are.

    Raises
    ------
    DeviceError
        If there is no tracker, or it knows no such board; if a board has another architecture or
        lacks features; if the boards are of different kinds, whose times cannot be compared.
    """
    known = next((one for one in tracker.boards(tracker_) if one.key == key), None)
    with ExitStack() as held:
        asked = range(max(known.free, 1) if known else 1)  # an unknown key is told by `board`
        free = [held.enter_context(board(key, tracker_)) for _ in asked]
        abouts = [one.about for one in free]
        gpus = [one.gpu for one in free] if target.is_gpu else []
    for about in abouts:
        fit.demand(about, key, target.name, target.triple, target.needs)
    different = next((about for about in abouts if about != abouts[0]), None)
    if different is not None:
        raise DeviceError(
            f"the boards {key!r} are of different kinds: {_kind(abouts[0])}, and "
            f"{_kind(different)}; serve each kind with a key of its own"
        )
    number = len(known.addresses) if known else 1
    if not gpus:
        return Boards(target, tracker_, key, abouts[0], number)
    if any(gpu != gpus[0] for gpu in gpus):
        names = ", and ".join(sorted({gpu.identity["device"] for gpu in gpus}))
        raise DeviceError(
            f"the boards {key!r} have different GPUs: {names}; serve each with a key of its own"
        )
    fitted = gpus[0].fitted(target, key)
    return Boards(fitted, tracker_, key, abouts[0], number, gpus[0].identity)


def _kind(about: About) -> str:
    return f"{about.cpu} with {about.cores} cores, {' '.join(about.flags)}, TVM {about.tvm}"


def _together(group: Sequence[str]) -> str:
    """Return what stands for a group: a list of its candidates, or the only one; empty for none."""
    if len(group) < 2:
        return "".join(group)
    file = Path(group[0]).parent / session.GROUP
    file.write_text(json.dumps(list(group)))
    return str(file)


def _outcomes(number: int, rounds: Sequence[Any]) -> list[Outcome]:
    """Return the outcomes of a group's candidates; a round tells the times of all, in order."""
    found = [Outcome() for _ in range(number)]
    for result in rounds:
        for place, outcome in enumerate(found):
            if result.error_msg is not None:
                outcome.error = str(result.error_msg)
            else:
                times = [float(time) for time in result.run_secs]
                each = len(times) // number
                outcome.runs.append(times[place * each : (place + 1) * each])
    return found
