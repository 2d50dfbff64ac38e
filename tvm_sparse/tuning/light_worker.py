"""TVM's worker processes, started without torch.

Importing TVM loads torch wherever it is installed: two thirds of what a worker does before its
first candidate, and none of them uses it. TVM's pools start all of theirs by one method, which is
replaced when this module is loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tvm.support.popen_pool import PopenWorker

_MAIN = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import tvm
del sys.modules["torch"]  # whoever imports it now gets it
from tvm.exec.popen_worker import main
try:
    main()
except (OSError, KeyboardInterrupt):
    pass
"""


def _start(worker: PopenWorker) -> None:
    """Start a worker's process, unless it runs; as TVM's own method does, which runs a module."""
    if worker._proc is not None:
        return
    read, write_back = os.pipe()
    read_there, write = os.pipe()
    theirs = (read_there, write_back)
    worker._proc = subprocess.Popen(
        [sys.executable, "-c", _MAIN, *map(str, theirs)],
        pass_fds=theirs,
        stdout=worker._stdout,
        stderr=worker._stderr,
    )
    for end in theirs:
        os.close(end)
    worker._reader = os.fdopen(read, "rb")
    worker._writer = os.fdopen(write, "wb")


if hasattr(PopenWorker, "_start"):
    PopenWorker._start = _start
