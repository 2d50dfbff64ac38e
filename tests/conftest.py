"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os

import pytest

# Tests run side by side: idle workers of TVM's and torch's pools must not keep a core busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "100")
# MNN may lie in this folder; tests make environments with stand-ins of it instead.
os.environ["TVM_SPARSE_MNN"] = os.devnull

from tvm_sparse import targets
from tvm_sparse.targets import Target


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that share a fixture of their module run in one process, which makes it once."""
    for item in items:
        known = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
        shares = any(one.scope == "module" for found in known for one in found)
        if shares and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))


def pytest_collection_finish() -> None:
    """Keep what was imported out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def x86() -> Target:
    return targets.load("x86")


@pytest.fixture(scope="session")
def modelling() -> None:
    """What modelling cycles takes is here."""
    from support.modelling import demand

    demand()


@pytest.fixture(params=["x86", "x86-avx2"])
def target(request: pytest.FixtureRequest) -> Target:
    """Every CPU family that this machine can run."""
    profile = targets.load(request.param)
    if profile.missing():
        pytest.skip(f"this CPU lacks {', '.join(profile.missing())}")
    return profile
