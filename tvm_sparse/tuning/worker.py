"""What a worker process does first, so that a bad candidate harms nobody but itself."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tvm

from tvm_sparse import link
from tvm_sparse.tuning import light_worker as light_worker  # starts them without torch

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_SHARE = 0.5  # of the machine's memory that one worker may use
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def prepare(folder: Path) -> None:
    """Make this process a worker; MetaSchedule's ``initializer``.

    It ends with its parent, however that ends. It leaves Ctrl-C to it: what was begun is finished.
    Beyond half of the memory it gets no more, and is the first to be killed where none is left.
    Temporary files go into the folder, which is removed even if the worker is killed. Libraries
    that ran leave memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _limit_memory(int(_SHARE * memory()))
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    release_libraries()


def release_libraries() -> None:
    """Let MetaSchedule's runner, which calls ``tvm.runtime.load_module``, keep no library."""
    tvm.runtime.load_module = link.load


def plainly(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; its errors get a type that TVM's worker can make again from a text.

    It would end otherwise, and nobody would hear why: numpy's MemoryError needs a shape.
    """
    try:
        return function(*args)
    except Exception as error:
        try:
            type(error)("")
        except TypeError:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise


def memory() -> int:
    """Return the bytes of memory of this machine, or of the container that we are in."""
    known = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in map(Path, _LIMITS):
        text = limit.read_text().strip() if limit.exists() else "max"
        known.extend([] if text == "max" else [int(text)])
    return min(known)


def _end_with_parent() -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):  # Linux
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(most: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")
