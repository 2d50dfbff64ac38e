"""Whether a board can run code for a target: told before any is sent, not by a dead process."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_sparse import link
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc.about import About


def demand(about: About, key: str, target: str, triple: str, needs: Sequence[str]) -> None:
    """Raise unless a board can run code.

    Parameters
    ----------
    about : About
        The board.
    key : str
        What it is called.
    target : str
        Name of the profile that the code is for.
    triple : str
        LLVM's name of the machine; empty for machines like this one.
    needs : sequence of str
        CPU flags without which the code cannot run.

    Raises
    ------
    DeviceError
        If the board has another architecture, or lacks features.
    """
    right = link.architecture(triple)
    if link.architecture(about.machine) != right:
        raise DeviceError(
            f"board {key!r} is {about.machine}, the code is for {target} "
            f"({right}): build it for that board's target"
        )
    lacking = [flag for flag in needs if flag not in about.flags]
    if lacking:
        raise DeviceError(
            f"board {key!r} ({about.cpu}) lacks {', '.join(lacking)}, which "
            f"{target} needs: build for a target without, e.g. 'arm'"
        )
