"""What is wrong with a configuration, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from tvm_sparse import formats, pruning
from tvm_sparse.errors import ConfigError, FormatError
from tvm_sparse.profiling import short
from tvm_sparse.profiling.sampling import FORMATS
from tvm_sparse.quantization.ranges import METHODS
from tvm_sparse.scheme import Scheme
from tvm_sparse.workflow.config import Config

_ERRORS = ("outputs", "loss", "magnitude")
_COUNTS = (
    ("data", "size"),
    ("model", "width"),
    ("train", "batch"),
    ("fine_tune", "batch"),
    ("plan", "images"),
    ("prune", "images"),
    ("quantize", "images"),
    ("build", "threads"),
)


def check(config: Config, where: str) -> None:
    """Raise ConfigError where a value is none of those that its name allows.

    Parameters
    ----------
    config : Config
    where : str
        What the message begins with, e.g. the file.
    """
    for table, name in _COUNTS:
        if getattr(getattr(config, table), name) < 1:
            raise ConfigError(f"{where}, {table}, {name}: expected at least 1, got 0")
    _one_of(config.plan.errors, _ERRORS, f"{where}, plan, errors")
    _one_of(config.plan.difficulty, ("easy", "hard"), f"{where}, plan, difficulty")
    _one_of(config.prune.method, pruning.methods(), f"{where}, prune, method")
    _one_of(config.quantize.method, METHODS, f"{where}, quantize, method")
    _one_of(config.quantize.bits, short.KNOWN, f"{where}, quantize, bits")
    for bits in config.plan.bits or (0,):
        _one_of(bits, short.KNOWN, f"{where}, plan, bits")
    for table in ("profile", "plan"):
        _check_formats(getattr(config, table).formats, f"{where}, {table}, formats")
    offered(config, where)


def offered(config: Config, where: str = "the configuration") -> tuple[str, ...]:
    """Return the formats that a plan may take: those whose zeros the pruning method makes.

    Empty if the configuration names none and the method makes all of them.

    Raises
    ------
    ConfigError
        If the method makes none of those that are named.
    """
    named = config.plan.formats or config.profile.formats
    made = pruning.makes(config.prune.method)
    usual = not named and set(made) >= {one.partition("-")[0] for one in FORMATS}
    found = tuple(one for one in named or FORMATS if one.partition("-")[0] in made)
    if not found:
        raise ConfigError(
            f"{where}: method {config.prune.method} makes zeros of format {', '.join(made)}: name "
            "such a format with its block under [plan], formats, or another method under [prune]"
        )
    return () if usual else found


def _one_of(value: Any, allowed: Iterable[Any], where: str) -> None:
    known = list(allowed)
    if value not in known:
        near = get_close_matches(str(value), [str(one) for one in known], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = ", ".join(str(one) for one in known)
        raise ConfigError(f"{where}: expected one of {expected}, got {value!r}{hint}")


def _check_formats(named: Iterable[str], where: str) -> None:
    for text in named:
        try:
            formats.get(Scheme.parse(f"{text}@1.0").format)
        except FormatError as error:
            raise ConfigError(f"{where}: {error}; a format is written e.g. one_by_n-4") from error
