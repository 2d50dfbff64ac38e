"""The sparse formats, one a file; a format's name is its file's name."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Packed, SparseFormat

__all__ = ["Packed", "SparseFormat", "get", "names"]

_NOT_FORMATS = {"boxes", "clusters", "libraries", "protocol", "split"}


@cache
def names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    return tuple(sorted({m.name for m in pkgutil.iter_modules(__path__)} - _NOT_FORMATS))


def get(name: str) -> SparseFormat:
    """Return the format of that name.

    Raises
    ------
    FormatError
        If there is none.
    """
    if name not in names():
        raise FormatError(f"unknown format {name!r}; expected one of {', '.join(names())}")
    module = import_module(f"tvm_sparse.formats.{name}")
    found: SparseFormat = module.FORMAT
    return found
