"""The programs that modelling cycles takes."""

from __future__ import annotations

import os

import pytest

from tvm_sparse.cycles import tools
from tvm_sparse.errors import DeviceError


def demand() -> None:
    """Skip the test where a tool is missing, but fail in CI."""
    try:
        tools.demand()
    except DeviceError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
