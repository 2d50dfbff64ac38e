"""Files of compiled models: a library or an executable, and what we know about it.

Behind a file's end stand a description (JSON), the description's length, a digest of everything
before it, and a mark. The system's loader ignores them, `load` checks them before it lets the
loader near the file: a truncated library would otherwise kill the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tvm_sparse.aside import written_aside
from tvm_sparse.errors import ArtifactError

_MARK = b"tvm_sparse\x00\x01"
_TAIL = struct.Struct(f"<Q32s{len(_MARK)}s")


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """An input or output: name, shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        """Return e.g. ``x: float32 (1, 3, 224, 224)``."""
        return f"{self.name}: {self.dtype} {self.shape}"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a compiled file says about itself.

    Parameters
    ----------
    version, tvm_version : str
    target : str
        Name of the target's profile.
    needs : tuple of str
        CPU flags without which the code cannot run.
    inputs, outputs : tuple of TensorInfo
    report : str
        The report, as JSON.
    triple : str
        LLVM's name of the machine that the code is for; empty for the one it was built on.
    device : str
        What kernels run on, as TVM names devices: cpu or vulkan.
    cores : int
        Threads that an executable uses by default.
    kind : str
        What the file is: ``library`` or ``executable``.
    """

    version: str
    tvm_version: str
    target: str
    needs: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    report: str
    triple: str = ""
    device: str = "cpu"
    cores: int = 1
    kind: str = "library"

    def to_bytes(self) -> bytes:
        """Return the description as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Description:
        """Read what `to_bytes` wrote."""
        values = json.loads(content)
        for name in ("inputs", "outputs"):
            values[name] = tuple(
                TensorInfo(name=v["name"], shape=tuple(v["shape"]), dtype=v["dtype"])
                for v in values[name]
            )
        values["needs"] = tuple(values["needs"])
        return cls(**values)


def write(make: Callable[[Path], None], description: Description, path: Path) -> None:
    """Write a file and its description: aside first, then renamed, so that no half file stays.

    Parameters
    ----------
    make : callable
        Links to a path.
    description : Description
    path : Path

    Raises
    ------
    ArtifactError
        If the folder cannot be written, or there is no linker for the target.
    """
    with _aside(path, "" if description.kind == "executable" else ".so") as file:
        make(file)
        _append(file, description)
    if description.kind == "executable":
        path.chmod(0o755)


def copy(source: Path, path: Path) -> None:
    """Copy a file of ours, with the same care.

    Raises
    ------
    ArtifactError
        If the file was damaged since, or the folder cannot be written.
    """
    read(source)
    with _aside(path, ".so") as file:
        shutil.copyfile(source, file)


@contextlib.contextmanager
def _aside(path: Path, suffix: str) -> Iterator[Path]:
    """Yield a temporary file in the path's folder, which is renamed to the path at the end."""
    if not path.parent.is_dir():
        raise ArtifactError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ArtifactError(f"cannot write {path}: it is a folder; name a file, e.g. model.so")
    try:
        with written_aside(path, suffix) as file:
            yield file
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> Description:
    """Check a file and return its description.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or not one of ours.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    if len(content) < _TAIL.size or not content.endswith(_MARK):
        raise ArtifactError(
            f"{path} was not exported by tvm_sparse, or its end is missing; "
            "export it again with compiled.export(...)"
        )
    length, digest, _ = _TAIL.unpack(content[-_TAIL.size :])
    body = content[: -_TAIL.size]
    if hashlib.sha256(body).digest() != digest or length > len(body):
        raise ArtifactError(
            f"{path} is damaged: its digest does not match; copy or export it again"
        )
    return Description.from_bytes(body[len(body) - length :])


def _append(path: Path, description: Description) -> None:
    text = description.to_bytes()
    body = path.read_bytes() + text
    tail = _TAIL.pack(len(text), hashlib.sha256(body).digest(), _MARK)
    with open(path, "ab") as file:
        file.write(text + tail)
