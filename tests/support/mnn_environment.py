"""An environment that looks like MNN's, without MNN: its modules there are stand-ins."""

from __future__ import annotations

import sys
from pathlib import Path

VERSION = "0.1"


def make(folder: Path) -> Path:
    """Make the environment in a folder, and return the folder."""
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    modules = Path(__file__).with_name("mnn")
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{modules}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    about = folder / f"lib/python3/site-packages/mnn-{VERSION}.dist-info/METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.1\nName: MNN\nVersion: {VERSION}\n")
    return folder
