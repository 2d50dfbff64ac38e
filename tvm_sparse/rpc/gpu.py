"""What a board says of its GPU; both sides of a session know this text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from tvm_sparse.errors import DeviceError
from tvm_sparse.limits import Limits
from tvm_sparse.targets import Target

DESCRIBE = "tvm_sparse.rpc.describe_gpu"  # the function by which a board is asked


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The first Vulkan device of a board.

    Parameters
    ----------
    identity : dict of str to str
        Its name and driver, see `tvm_sparse.targets.vulkan.describe.identity`; empty for none.
    attributes : dict
        What it offers, as attributes of a target of TVM's.
    """

    identity: dict[str, str]
    attributes: dict[str, Any]

    @classmethod
    def here(cls) -> Gpu:
        """Return this machine's."""
        from tvm_sparse.targets.vulkan import describe

        return cls(identity=describe.identity(), attributes=describe.here())

    @classmethod
    def of(cls, remote: Any, key: str) -> Gpu:
        """Ask a board.

        Parameters
        ----------
        remote : tvm.rpc.RPCSession
        key : str

        Raises
        ------
        DeviceError
            If it has none, or is not served by ``tvm-sparse serve`` of this version.
        """
        try:
            found = cls(**json.loads(remote.get_function(DESCRIBE)()))
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise DeviceError(
                f"board {key!r} does not tell what its GPU is: serve it with `tvm-sparse serve` of "
                "the version that is used here"
            ) from error
        if not found.identity:
            raise DeviceError(
                f"board {key!r} has no Vulkan device: install its driver there, then serve it again"
            )
        return found

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self))

    def fitted(self, target: Target, key: str) -> Target:
        """Return a target as this device's: ``device = "native"`` stands for it.

        Raises
        ------
        DeviceError
            If the target allows workgroups more than the device does.
        """
        if target.is_native:
            own = {name: value for name, value in target.tvm.items() if name != "device"}
            return replace(target, tvm={**self.attributes, **own})
        most = target.limits
        excess = Limits.of(self.attributes).beyond(most.threads, most.shared)
        if excess:
            raise DeviceError(
                f"board {key!r}: a workgroup that uses all that {target.name!r} allows {excess} on "
                f"{self.identity['device']}: lower the limits of that profile"
            )
        return target
