"""Fixtures that every test may use."""

from __future__ import annotations

import os

import pytest

# Tests run side by side: idle workers of TVM's and torch's pools must not keep a core busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "100")
# MNN may lie in this folder; tests make environments with stand-ins of it instead.
os.environ["TVM_SPARSE_MNN"] = os.devnull

from tvm_sparse import targets
from tvm_sparse.targets import Target


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
