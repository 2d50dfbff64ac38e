"""An environment that looks like MNN's, without MNN: its modules there are stand-ins."""

from __future__ import annotations

import sys
from pathlib import Path

VERSION = "0.1"


def make(folder: Path) -> Path:
    """Make the environment in a folder, and return the folder."""
    modules = Path(__file__).with_name("mnn")
    python(folder / "bin/python", f'PYTHONPATH="{modules}"')
    about = folder / f"lib/python3/site-packages/mnn-{VERSION}.dist-info/METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.1\nName: MNN\nVersion: {VERSION}\n")
    return folder


def python(path: Path, variables: str = "") -> None:
    """Write a program that is this Python, with some environment variables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{variables} exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
