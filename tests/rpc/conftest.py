"""Boards that tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import emulated
from tvm_sparse.rpc.address import Address


@pytest.fixture(scope="session")
def tracker_process() -> Iterator[emulated.TrackerProcess]:
    emulated.qemu()
    running = emulated.TrackerProcess()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tracker(tracker_process: emulated.TrackerProcess) -> Address:
    return tracker_process.address


@pytest.fixture(scope="session")
def rpi4(tracker: Address) -> Iterator[str]:
    """An emulated Cortex-A72; its key."""
    with emulated.served(tracker, "cortex-a72", "rpi4"):
        yield "rpi4"


@pytest.fixture(scope="session")
def rpi5(tracker: Address) -> Iterator[str]:
    """An emulated Cortex-A76; its key."""
    with emulated.served(tracker, "cortex-a76", "rpi5"):
        yield "rpi5"
