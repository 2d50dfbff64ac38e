"""The device that these tests run on; every kernel that they build is validated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import lavapipe


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    found = lavapipe.device()
    with lavapipe.validated(monkeypatch, tmp_path):
        yield found
