"""In which numbers a layer's weights are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm_sparse.errors import FormatError
from tvm_sparse.scheme import Scheme

GROUP = 64  # input channels that share a scale, unless said otherwise
_BITS = {
    "float32": 32,
    "bfloat16": 16,
    "float16": 16,
    "int8": 8,
    "int4": 4,
    "power_of_two": 4,
}
_BY_BITS = {32: "float32", 16: "bfloat16", 8: "int8", 4: "int4"}
_TEXT = re.compile(r"(?P<name>[a-z_]+\d*)(-(?P<group>\d+))?")


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The numbers of a layer's weights. ``Precision.parse(str(precision)) == precision``.

    Parameters
    ----------
    name : {"float32", "bfloat16", "float16", "int8", "int4", "power_of_two"}
        Of ``int8`` the activations are bytes too; of the others only the weights are stored so.
    group : int
        Input channels that share a scale, of ``int4``; a multiple of 8.

    Examples
    --------
    >>> str(Precision.parse(4))
    'int4-64'
    """

    name: str = "float32"
    group: int = GROUP

    def __post_init__(self) -> None:
        """Check name and group."""
        if self.name not in _BITS:
            raise _unknown(self.name)
        if self.group < 8 or self.group % 8:
            raise FormatError(
                f"a group of {self.group} channels: expected a multiple of 8, e.g. 32, 64 or 128"
            )

    @property
    def bits(self) -> int:
        """Bits of a stored weight, scales not counted."""
        return _BITS[self.name]

    def __str__(self) -> str:
        """Return e.g. ``int4-64``."""
        return f"{self.name}-{self.group}" if self.name == "int4" else self.name

    @classmethod
    def parse(cls, value: Any, group: int = GROUP) -> Precision:
        """Read a precision: one, its name, a number of bits, or a scheme's.

        Raises
        ------
        FormatError
            If it is none.
        """
        if isinstance(value, Precision):
            return value
        bits = value.bits if isinstance(value, Scheme) else value
        text = _BY_BITS.get(bits, "") if isinstance(bits, int) else str(bits)
        match = _TEXT.fullmatch(text)
        if match is None:
            raise _unknown(bits)
        return cls(name=match["name"], group=int(match["group"] or group))


def _unknown(value: Any) -> FormatError:
    return FormatError(
        f"layers can be quantized to {', '.join(map(str, _BY_BITS))} bits, or to one of "
        f"{', '.join(_BITS)} (int4-32: by groups of 32 channels), got {value}"
    )


def by_layer(wanted: Any, group: int = GROUP) -> Precision | dict[str, Precision]:
    """Return one precision for all layers, or that of each layer that a mapping or plan names.

    Parameters
    ----------
    wanted : int, str, Precision, mapping of str to any of these or Scheme, or Plan
    group : int
        Of ``int4`` where it is not said.
    """
    wanted = wanted if isinstance(wanted, Precision) else getattr(wanted, "precisions", wanted)
    if isinstance(wanted, Mapping):
        return {name: Precision.parse(value, group) for name, value in wanted.items()}
    return Precision.parse(wanted, group)


def needs_samples(wanted: Precision | Mapping[str, Precision]) -> bool:
    """Whether a layer is to have bytes for activations, whose ranges samples show."""
    return any(one.name == "int8" for one in _each(wanted))


def has_groups(wanted: Precision | Mapping[str, Precision]) -> bool:
    """Whether neighbouring channels of a layer are to share scales or bases: none may go later."""
    return any(one.bits == 4 for one in _each(wanted))


def _each(wanted: Precision | Mapping[str, Precision]) -> Iterable[Precision]:
    return [wanted] if isinstance(wanted, Precision) else wanted.values()
