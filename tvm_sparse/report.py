"""What was found in each layer, what was chosen, and why."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy.typing as npt

from tvm_sparse.footprint import Footprint
from tvm_sparse.layer import Layer

_COLUMNS = (
    ("layer", "name"),
    ("op", "op"),
    ("weight", "shape"),
    ("zeros", "zeros"),
    ("found", "found"),
    ("stored as", "stored"),
    ("kernel", "kernel"),
    ("KiB", "kib"),
    ("ms*", "ms"),
    ("why", "reason"),
)
_INDEX = 4  # bytes of an index of CSR


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One row of the report.

    Parameters
    ----------
    name, op : str
    weight, input : tuple of int
        Shapes, see `Layer`.
    macs : int
        Multiply-adds of the dense layer.
    density : float
        Share of non-zero weights.
    found : str
        The tightest scheme that describes the zeros.
    stored : str
        The scheme in which the weights are stored; ``"dense"`` when the layer stays dense.
    kernel : str
        The kernel's register tile.
    reason : str
        Why this and not the other.
    nbytes, dense_nbytes : int
        Bytes of weights and indices, as stored and as dense float32.
    seconds, dense_seconds : float
        Times predicted by the cost formula; 0 where it does not know the layer.
    """

    name: str
    op: str
    weight: tuple[int, ...]
    input: tuple[int, ...]
    macs: int
    density: float
    found: str
    stored: str
    kernel: str
    reason: str
    nbytes: int
    dense_nbytes: int
    seconds: float
    dense_seconds: float

    @classmethod
    def of(cls, layer: Layer, weight: npt.NDArray[Any], **decided: Any) -> LayerReport:
        """Return the row of a layer; `decided` is what its shape and weight do not tell."""
        return cls(
            name=layer.name,
            op=layer.op,
            weight=layer.weight,
            input=layer.input,
            macs=layer.macs,
            density=float((weight != 0).mean()),
            **decided,
        )

    @property
    def csr_nbytes(self) -> int:
        """Bytes as CSR: every non-zero, in as many bits, with an index; and row pointers."""
        nonzeros = round(self.density * math.prod(self.weight))
        return nonzeros * self.bits // 8 + (nonzeros + self.weight[0] + 1) * _INDEX

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are skipped."""
        return not self.stored.startswith(("dense", "untouched"))

    @property
    def bits(self) -> int:
        """Bits of a stored weight."""
        return int(self.stored.rsplit("/", 1)[1]) if "/" in self.stored else 32

    @property
    def is_integer(self) -> bool:
        """Whether weights are stored, and multiplied, as bytes."""
        return self.bits == 8

    def cells(self) -> dict[str, str]:
        """Return the row as text, by column."""
        ms = f"{self.seconds * 1e3:.3f}" if self.seconds else "–"
        return {
            "name": self.name,
            "op": self.op,
            "shape": "×".join(map(str, self.weight)),
            "zeros": f"{1 - self.density:.1%}",
            "found": self.found,
            "stored": self.stored,
            "kernel": self.kernel,
            "kib": f"{self.nbytes / 1024:.1f}",
            "ms": ms,
            "reason": self.reason,
        }


class Report:
    """The rows of one compiled model, in execution order.

    ``print(report)`` shows a table, ``report.to_json()`` is for machines.

    Parameters
    ----------
    rows : list of LayerReport
    notes : list of str, optional
    footprint : Footprint, optional
        Layout conversions and memory of one run; unknown until the model is compiled.
    """

    def __init__(
        self,
        rows: list[LayerReport],
        notes: list[str] | None = None,
        footprint: Footprint | None = None,
    ) -> None:
        self.rows = rows
        self.notes = notes or []
        self.footprint = footprint

    def __iter__(self) -> Iterator[LayerReport]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, name: str) -> LayerReport:
        """Return the row of a layer."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no layer {name!r}; layers: {', '.join(row.name for row in self.rows)}")

    @property
    def nbytes(self) -> int:
        """Bytes of all layers' weights and indices."""
        return sum(row.nbytes for row in self.rows)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of all layers' weights: as stored, dense in float32 and int8, and as CSR."""
        dense = sum(row.dense_nbytes for row in self.rows)
        return {
            "stored": self.nbytes,
            "dense_float32": dense,
            "dense_int8": dense // 4,
            "csr": sum(row.csr_nbytes for row in self.rows),
        }

    @property
    def summary(self) -> str:
        """One line: how many layers are sparse, and how many bytes that saves."""
        sparse = sum(row.is_sparse for row in self.rows)
        dense = sum(row.dense_nbytes for row in self.rows)
        if any(row.bits < 32 for row in self.rows):
            return self._narrow(sparse, dense)
        if not sparse:
            zeros = any(row.density < 1 for row in self.rows)
            why = "zeros are used in no layer" if zeros else "the weights contain no zeros"
            return f"{len(self.rows)} layers, all dense: {why}"
        return (
            f"{sparse} of {len(self.rows)} layers sparse, "
            f"{self.nbytes / 1024:.0f} KiB of weights instead of {dense / 1024:.0f} KiB"
        )

    def _narrow(self, sparse: int, dense: int) -> str:
        number = Counter(row.bits for row in self.rows)
        first, *others = [
            (number[bits], "int8" if bits == 8 else f"in {bits} bits")
            for bits in (8, 4, 16)
            if number[bits]
        ]
        each = f"{first[0]} of {len(self.rows)} layers {first[1]}, "
        return (
            f"{each}{''.join(f'{count} {name}, ' for count, name in others)}{sparse} sparse, "
            f"{self.nbytes / 1024:.0f} KiB of weights instead of {dense / 1024:.0f} KiB dense "
            f"in float32, {dense / 4096:.0f} KiB dense in int8, "
            f"{self.sizes['csr'] / 1024:.0f} KiB as CSR"
        )

    def __str__(self) -> str:
        """Return a table."""
        cells = [[title for title, _ in _COLUMNS]]
        cells += [[row.cells()[key] for _, key in _COLUMNS] for row in self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        known = [] if self.footprint is None else [str(self.footprint)]
        return "\n".join([*lines, "* predicted, all threads", *self.notes, *known, self.summary])

    def to_json(self) -> str:
        """Return rows, notes and footprint as JSON."""
        content: dict[str, Any] = {"layers": [asdict(row) for row in self.rows]}
        content["notes"] = self.notes
        content["sizes"] = self.sizes
        content["footprint"] = None if self.footprint is None else asdict(self.footprint)
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote; older files tell nothing of the footprint."""
        content = json.loads(text)
        names = {field.name for field in fields(LayerReport)}
        rows = []
        for row in content["layers"]:
            values: dict[str, Any] = {name: row[name] for name in names}
            values["weight"], values["input"] = tuple(row["weight"]), tuple(row["input"])
            rows.append(LayerReport(**values))
        known = content.get("footprint")
        return cls(rows, content["notes"], Footprint(**known) if known else None)
