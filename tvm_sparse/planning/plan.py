"""A plan: the scheme of every layer, and what it is expected to cost.

In a file::

    {"version": 1, "budget": "2.5x", "strategy": "search", "seconds": 0.00081, …,
     "layers": {"blocks.0.conv1": {"scheme": "one_by_n-4@0.2/32", "seconds": 5.1e-05, …}, …}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tvm_sparse import aside, formats
from tvm_sparse.errors import FormatError, PlanError
from tvm_sparse.latency import DENSE
from tvm_sparse.precision import Precision
from tvm_sparse.scheme import Scheme

_VERSION = 1
_NUMBERS = ("seconds", "dense_seconds", "nbytes", "error", "reach", "search_seconds")
_TEXTS = ("budget", "strategy", "target")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was decided for one layer.

    Parameters
    ----------
    scheme : Scheme
        ``dense`` where no weight is removed; of 8 bits where the layer becomes int8, of 16 or 4
        where its weights alone are rounded.
    seconds, dense_seconds : float
        How long it takes under the scheme, and dense.
    error : float
        What pruning is expected to cost.
    nbytes : int
        Stored weights and indices.
    measured : bool
        Whether the time comes from a measured cell, and not from a prediction.
    """

    scheme: Scheme
    seconds: float
    dense_seconds: float
    error: float
    nbytes: int
    measured: bool


@dataclass(frozen=True, kw_only=True)
class Plan(Mapping[str, Scheme]):
    """The scheme of every layer; a mapping of those that are pruned, which `ts.prune` takes.

    Parameters
    ----------
    layers : mapping of str to Planned
        In the order of execution; layers that are computed as one share their numbers.
    seconds, dense_seconds : float
        Predicted for a run of the whole network, planned and dense.
    nbytes : float
        Of all stored weights and indices.
    error : float
        The sum over the layers.
    reach : float
        The largest speed-up that the options allowed.
    search_seconds : float
        How long it took to choose, without measuring sensitivities.
    budget, strategy, target : str

    Examples
    --------
    >>> plan = ts.plan(model, "logs/here", budget="2.5x", example_inputs=(x,))  # doctest: +SKIP
    >>> ts.prune(model, plan)                                                   # doctest: +SKIP
    """

    layers: Mapping[str, Planned]
    seconds: float
    dense_seconds: float
    nbytes: float
    error: float
    reach: float
    search_seconds: float
    budget: str
    strategy: str
    target: str

    def __getitem__(self, name: str) -> Scheme:
        """Return the scheme of a layer that is to be pruned."""
        found = self.layers[name].scheme
        if found.format == "dense":
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Name the layers that are to be pruned."""
        return (name for name, one in self.layers.items() if one.scheme.format != "dense")

    def __len__(self) -> int:
        """Return how many layers are to be pruned."""
        return sum(1 for _ in self)

    @property
    def precisions(self) -> dict[str, Precision]:
        """In which numbers each layer is to be stored, for `tvm_sparse.quantize`."""
        return {name: Precision.parse(one.scheme) for name, one in self.layers.items()}

    @property
    def decided(self) -> dict[str, Scheme]:
        """The scheme of each layer that is pruned or rounded."""
        return {name: one.scheme for name, one in self.layers.items() if one.scheme != DENSE}

    @property
    def bits(self) -> int:
        """The fewest bits of a layer."""
        return min((one.scheme.bits for one in self.layers.values()), default=32)

    @property
    def speedup(self) -> float:
        """How many times as fast as dense the network is predicted to be."""
        return self.dense_seconds / self.seconds

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        layers = {
            name: {**asdict(one), "scheme": str(one.scheme)} for name, one in self.layers.items()
        }
        content = {name: getattr(self, name) for name in (*_TEXTS, *_NUMBERS)}
        return json.dumps({"version": _VERSION, **content, "layers": layers}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: str = "the text") -> Plan:
        """Read a plan.

        Raises
        ------
        PlanError
            If it is none; the message names the first thing that is wrong.
        """
        content = _table(text, where)
        layers = content.get("layers")
        if not isinstance(layers, dict):
            raise PlanError(f"{where}: expected a table 'layers', got {layers!r}")
        values = {name: _number(content, name, where) for name in _NUMBERS}
        texts = {name: str(content.get(name, "")) for name in _TEXTS}
        found = {name: _planned(one, f"{where}, layer {name!r}") for name, one in layers.items()}
        return cls(layers=found, **values, **texts)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Open a plan that `save` wrote.

        Raises
        ------
        PlanError
            If there is no such file, or it is no plan.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"cannot read the plan {path}: {error}") from error
        return cls.from_json(text, str(path))

    def save(self, path: str | Path) -> Path:
        """Write the plan to a file, and return its path.

        Raises
        ------
        PlanError
            If the file cannot be written.
        """
        try:
            aside.replace(Path(path), self.to_json().encode() + b"\n")
        except OSError as error:
            raise PlanError(f"cannot write the plan {path}: {error.strerror}") from error
        return Path(path)

    def __str__(self) -> str:
        """Return the plan for people: a line a layer, and the sum."""
        width = max((len(name) for name in self.layers), default=0)
        lines = [
            f"{name:{width}}  {_short(one.scheme):22}  {one.seconds * 1e3:8.4f} ms  "
            f"{one.dense_seconds / one.seconds:5.2f}x  error {one.error:.4f}"
            for name, one in self.layers.items()
        ]
        return "\n".join(
            [
                f"largest speed-up within reach: {self.reach:.2f}x",
                *lines,
                f"{self.strategy}, {self.budget}: predicted {self.seconds * 1e3:.4g} ms, "
                f"{self.speedup:.2f}x of dense; error {self.error:.4g}; "
                f"chosen in {self.search_seconds:.1f} s",
            ]
        )


def _short(scheme: Scheme) -> str:
    return "dense" if scheme == Scheme(format="dense") else str(scheme).removesuffix("/32")


def _table(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise PlanError(f"{where} is no plan: {error}; `tvm-sparse plan` writes one") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise PlanError(f"{where} is no plan of version {_VERSION}: plan again")
    return content


def _planned(content: Any, where: str) -> Planned:
    if not isinstance(content, dict) or not isinstance(content.get("scheme"), str):
        raise PlanError(f"{where}: expected a table with a scheme, got {content!r}")
    try:
        scheme = Scheme.parse(content["scheme"])
        formats.get(scheme.format)
    except FormatError as error:
        raise PlanError(f"{where}: {error}") from error
    return Planned(
        scheme=scheme,
        seconds=_number(content, "seconds", where),
        dense_seconds=_number(content, "dense_seconds", where),
        error=_number(content, "error", where),
        nbytes=int(_number(content, "nbytes", where)),
        measured=content.get("measured") is True,
    )


def _number(content: Mapping[str, Any], name: str, where: str) -> float:
    value = content.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise PlanError(f"{where}: expected a number of at least 0 as {name!r}, got {value!r}")
    return float(value)
