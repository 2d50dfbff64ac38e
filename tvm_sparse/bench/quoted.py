"""Speed-ups of engines that are not measured, from ``quoted.toml``: figures with their source."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """What a source says of one engine on one network.

    Parameters
    ----------
    engine, network : str
    what : str
        Which part of the network, and how it is pruned.
    ratios : dict of int to float
        By percent of zeros: how many times as fast as the engine's own dense run.
    source : str
    """

    engine: str
    network: str
    what: str
    ratios: dict[int, float]
    source: str

    def __str__(self) -> str:
        """Return one line, with the source."""
        ratios = ", ".join(f"{ratio:.2f}× at {zeros}%" for zeros, ratio in self.ratios.items())
        return f"{self.engine} on {self.network}, {self.what}: {ratios} ({self.source})"


def quoted(networks: Collection[str]) -> list[Quoted]:
    """Return what is quoted of some networks."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    found = [
        Quoted(**{**entry, "ratios": {int(zeros): r for zeros, r in entry["ratios"].items()}})
        for entry in tomllib.loads(text)["quoted"]
    ]
    return [entry for entry in found if entry.network in networks]
