"""The cores that cycles are modelled for: those that LLVM describes well."""

from __future__ import annotations

from tvm_sparse.errors import TargetError
from tvm_sparse.targets import Target

# What llvm-mca calls a core. It takes a Cortex-A76 for an A57, which is half as wide; the Neoverse
# N1 is the same core for servers.
CORES = {
    "cortex-a53": "cortex-a53",
    "cortex-a55": "cortex-a55",
    "cortex-a72": "cortex-a72",
    "cortex-a76": "neoverse-n1",
    "neoverse-v1": "neoverse-v1",
}


def core(target: Target) -> str:
    """Return a target's core, one of `CORES`.

    Raises
    ------
    TargetError
        If there is no model of it.
    """
    name = str(target.tvm.get("mcpu", ""))
    if name not in CORES:
        raise TargetError(
            f"cycles are modelled for {', '.join(CORES)}; {target.name!r} is for {name or 'none'}"
        )
    return name
