"""What a board says of itself; both sides of a session know this text."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass

from tvm_sparse.targets import native

DESCRIBE = "tvm_sparse.rpc.describe"  # the function by which a board is asked


@dataclass(frozen=True, kw_only=True)
class About:
    """What a board is.

    Parameters
    ----------
    machine, cpu : str
        Architecture, e.g. ``aarch64``, and the CPU's name.
    cores : int
    flags : tuple of str
        CPU features as its system names them.
    """

    machine: str
    cpu: str
    cores: int
    flags: tuple[str, ...]

    @classmethod
    def here(cls) -> About:
        """Return what this machine is."""
        return cls(
            machine=platform.machine(),
            cpu=native.cpu_name(),
            cores=native.cores(),
            flags=tuple(sorted(native.cpu_flags())),
        )

    @classmethod
    def from_json(cls, text: str) -> About:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(**{**found, "flags": tuple(found["flags"])})

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self))
