"""The databases that come with this package: which of them is for this machine, if any.

They lie in ``tuning_logs/<target>/``, or in folders in there, one for each class of CPUs and number
of cores; how one is made stands in CONTRIBUTING.md.
"""

from __future__ import annotations

from pathlib import Path

from tvm_sparse import tuning_logs
from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target
from tvm_sparse.tuning import folder, provenance

FOLDER = Path(tuning_logs.__file__).parent


def find(target: Target) -> Path | None:
    """Return the packaged database of a target that was measured on CPUs like this one."""
    return next((path for path, unlike in _examined(target) if not unlike), None)


def remark(target: Target) -> str:
    """Return a word on records that are packaged and not for this machine; empty if none are."""
    others = [unlike for _, unlike in _examined(target)]
    if not others or "" in others:
        return ""
    nearest = min(others, key=lambda unlike: unlike.count(","))
    return (
        f"packaged records of {target.name} are not used, they are of {nearest}: kernels are "
        "chosen by prediction; `tvm-sparse tune` measures them here"
    )


def _examined(target: Target) -> list[tuple[Path, str]]:
    """Return a target's packaged databases, and what tells each from those of this machine."""
    found = []
    for file in sorted((FOLDER / target.name).rglob(provenance.FILE)):
        try:
            folder.demand(file.parent)
            found.append((file.parent, provenance.foreign_class(file.parent, target)))
        except DatabaseError as error:
            found.append((file.parent, str(error)))
    return found
