"""Kernels that are TVM's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What stands in a tile's place where TVM's own schedule cuts a kernel."""

    filters: int = 1

    def __str__(self) -> str:
        """Return what reports call it."""
        return "TVM's own"
