"""What a board says of itself; both sides of a session know this text."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field

import tvm

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
    governor : str
        How its system chooses the clock; boards that differ in it alone are of one kind.
    tvm : str
        The version of TVM's runtime.
    """

    machine: str
    cpu: str
    cores: int
    flags: tuple[str, ...]
    governor: str = field(default="unknown", compare=False)
    tvm: str = "unknown"

    @classmethod
    def here(cls) -> About:
        """Return what this machine is."""
        return cls(
            machine=platform.machine(),
            cpu=native.cpu_name(),
            cores=native.cores(),
            flags=tuple(sorted(native.cpu_flags())),
            governor=native.governor(),
            tvm=str(tvm.__version__),
        )

    @classmethod
    def from_json(cls, text: str) -> About:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(**{**found, "flags": tuple(found["flags"])})

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self))
