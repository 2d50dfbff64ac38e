"""The cycles of kernels: executions of each block × what the block costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm_sparse.cycles import blocks, costs
from tvm_sparse.cycles.blocks import Block
from tvm_sparse.cycles.calls import Call
from tvm_sparse.cycles.program import Counted, count


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A block and its cycles.

    Parameters
    ----------
    block : Block
    cycles : float
        Of one execution.
    """

    block: Block
    cycles: float

    @property
    def total(self) -> float:
        """The cycles of all executions."""
        return self.block.count * self.cycles


@dataclass(frozen=True, kw_only=True)
class Modelled:
    """What kernels cost on a core.

    Parameters
    ----------
    core : str
    costs : tuple of Cost
        Of all blocks that ran.
    peak : float
        Vector multiply-adds that the core starts each cycle at most.
    """

    core: str
    costs: tuple[Cost, ...]
    peak: float

    @property
    def cycles(self) -> float:
        """The sum over all blocks."""
        return sum(cost.total for cost in self.costs)

    @property
    def multiply_adds(self) -> int:
        """Vector multiply-adds that were executed, also those of lanes that nobody stores."""
        return sum(cost.block.count * cost.block.multiply_adds for cost in self.costs)

    @property
    def of_peak(self) -> float:
        """Multiply-adds that were executed, as a share of what the core could in the time."""
        return self.multiply_adds / (self.peak * self.cycles) if self.costs else 0.0

    @property
    def inner_of_peak(self) -> float:
        """The same of the loop that executes most multiply-adds; 0 if there is none."""
        loops = [cost for cost in self.costs if cost.block.is_loop and cost.block.multiply_adds]
        if not loops:
            return 0.0
        most = max(loops, key=lambda cost: cost.block.count * cost.block.multiply_adds)
        return most.block.multiply_adds / (self.peak * most.cycles)


def model(executable: Any, calls: Sequence[Call], core: str) -> dict[str, Modelled]:
    """Model the cycles of kernels.

    Parameters
    ----------
    executable : tvm.runtime.Executable
        Functions compiled for aarch64.
    calls : sequence of Call
        What is called; a function that is called twice counts twice.
    core : str
        One of `tvm_sparse.cycles.cores.CORES`.

    Returns
    -------
    dict of str to Modelled
        By function.

    Raises
    ------
    DeviceError
        If a program that this takes is missing, or fails.
    """
    return priced(count(executable, calls), {call.function for call in calls}, core)


def priced(counted: Counted, functions: set[str], core: str) -> dict[str, Modelled]:
    """Return what functions cost on a core whose instructions were counted; see `model`."""
    ran = blocks.executed(counted)
    different = list(dict.fromkeys(block.words for block in ran))
    price = dict(zip(different, costs.cycles(different, core), strict=True))
    owners = _owners(functions, counted.symbols)
    found: dict[str, list[Cost]] = defaultdict(list)
    for block in ran:
        cost = Cost(block=block, cycles=price[block.words])
        found[_owner(owners, block.address)].append(cost)
    peak = costs.peak(core)
    return {
        name: Modelled(core=core, costs=tuple(of_it), peak=peak) for name, of_it in found.items()
    }


def _owners(functions: set[str], symbols: dict[str, int]) -> list[tuple[int, str]]:
    """Return where the code of each function begins, in the order of addresses.

    What threads share out follows its function under a name that begins with the function's.
    """
    names = sorted(functions, key=len, reverse=True)
    owners = []
    for symbol, address in symbols.items():
        plain = symbol.removeprefix("__tvm_ffi_")
        name = next((n for n in names if plain == n or plain.startswith(f"{n}_compute_")), None)
        if name is not None:
            owners.append((address, name))
    return sorted(owners)


def _owner(owners: list[tuple[int, str]], address: int) -> str:
    return next(name for begin, name in reversed(owners) if begin <= address)
