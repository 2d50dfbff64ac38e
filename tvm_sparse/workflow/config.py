"""What a run is told, from a TOML file.

::

    seed = 0
    [data]
    name = "digits"
    [plan]
    budget = "2.5x"

Every table and every name has a default; those that do not exist are errors.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from tvm_sparse.errors import ConfigError
from tvm_sparse.planning import strategies
from tvm_sparse.planning.budget import Budget


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images: ``digits``, ``cifar10`` (in `path`), or ``folder`` (`path`/train, `path`/val).

    `size` is the height and width that images are scaled to.
    """

    name: str = "digits"
    path: str = ""
    size: int = 32


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which network, how wide its first stage is, and a state dictionary to load, if any."""

    name: str = "resnet8"
    width: int = 32
    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class Train:
    """SGD with a one-cycle learning rate.

    `distill` is the share of the loss that compares answers with those of a dense network.
    """

    epochs: int = 20
    rate: float = 0.1
    batch: int = 64
    decay: float = 5e-4
    distill: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FineTune(Train):
    """The same for the pruned network, which also learns from the dense one."""

    epochs: int = 10
    rate: float = 0.03
    distill: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is measured, as `tvm_sparse.profile` takes it; `table` may hold what others measured."""

    table: str = ""
    formats: tuple[str, ...] = ()
    densities: tuple[float, ...] = ()
    time: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """As `tvm_sparse.plan` takes it; `images` calibrate.

    With `correct`, a plan whose network misses a budget of time by over 3 % is made again, with
    another budget. `bits` are offered to each layer: with 8 among them, those that gain by it
    become int8; 16 and 4 make weights smaller, 4 those of linear layers alone.
    """

    budget: str = "2.5x"
    strategy: str = "search"
    formats: tuple[str, ...] = ()
    bits: tuple[int, ...] = (32,)
    errors: str = "outputs"
    trials: int = 200
    images: int = 256
    difficulty: str = "easy"
    correct: bool = True


@dataclass(frozen=True, kw_only=True)
class Prune:
    """By which method, see ``tvm-sparse list``; `images` calibrate those that need data."""

    method: str = "magnitude"
    images: int = 256


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """As `tvm_sparse.quantize` takes it; `images` calibrate.

    With 8 bits all layers become int8 but those to `skip`, with 16 or 4 their weights are rounded;
    with 32, the plan says which.
    """

    bits: int = 32
    method: str = "minmax"
    symmetric: bool = False
    images: int = 256
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Kernels to measure a kind of layer, and seconds at most; 0 trials is no tuning."""

    trials: int = 0
    time: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Build:
    """For which target, and how many threads run."""

    target: str = "x86"
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Other plans that are made, trained and measured too, e.g. ``uniform 2.5x``."""

    plans: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run; `folder` is where it works, by default the configuration's path without its ending."""

    folder: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    profile: Profile = field(default_factory=Profile)
    plan: Plan = field(default_factory=Plan)
    prune: Prune = field(default_factory=Prune)
    fine_tune: FineTune = field(default_factory=FineTune)
    quantize: Quantize = field(default_factory=Quantize)
    tune: Tune = field(default_factory=Tune)
    build: Build = field(default_factory=Build)
    compare: Compare = field(default_factory=Compare)

    def table(self, name: str) -> dict[str, Any]:
        """Return a table as plain values."""
        return asdict(getattr(self, name))

    @property
    def variants(self) -> list[tuple[str, str]]:
        """Strategies and budgets: the run's own first, then those to compare with."""
        own = f"{self.plan.strategy} {self.plan.budget}"
        return [_variant(text) for text in dict.fromkeys([own, *self.compare.plans])]


def read(path: Path) -> Config:
    """Read a run's configuration.

    Raises
    ------
    ConfigError
        If the file cannot be read, or holds a name or a value that is none; the message says what
        was expected.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    config = parse(content, str(path))
    return config


def parse(content: Mapping[str, Any], where: str = "the configuration") -> Config:
    """Return a configuration of plain values; errors as `read`."""
    config: Config = _made(Config, content, where)
    if not config.variants:
        raise ConfigError(f"{where}: expected a plan")
    return config


def _variant(text: str) -> tuple[str, str]:
    """Return the strategy and the budget of e.g. ``uniform 2.5x``, checked."""
    name, _, budget = text.partition(" ")
    strategies.get(name)
    Budget.parse(budget)
    return name, budget


def _made(kind: Any, content: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass of what a table says."""
    types = get_type_hints(kind)
    known = [one.name for one in fields(kind)]
    for name in content:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: no {name!r}; expected {', '.join(known)}{hint}")
    values = {
        name: _value(types[name], value, f"{where}, {name}") for name, value in content.items()
    }
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return a value of a type; numbers are not negative."""
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a table, got {value!r}")
        return _made(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        return tuple(_value(get_args(kind)[0], one, where) for one in value)
    allowed = (int, float) if kind is float else kind
    wrong = not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool)
    if wrong or (kind in (int, float) and value < 0):
        names = {int: "a whole number of at least 0", float: "a number of at least 0"}
        wanted = names.get(kind, {str: "a text", bool: "true or false"}.get(kind, str(kind)))
        raise ConfigError(f"{where}: expected {wanted}, got {value!r}")
    return kind(value)
