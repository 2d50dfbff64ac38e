"""Machines that tests may reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import reached
from support.reached import Machine


@pytest.fixture(params=["ssh", "adb"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """An emulated 64-bit board."""
    with reached.machine(request.param, "rpi4", tmp_path) as found:
        yield found


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Machine]:
    """An emulated 64-bit board that is reached by ssh."""
    with reached.machine("ssh", "rpi4", tmp_path) as found:
        yield found


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Machine]:
    """An emulated 32-bit phone."""
    with reached.machine("adb", "armv7", tmp_path) as found:
        yield found
