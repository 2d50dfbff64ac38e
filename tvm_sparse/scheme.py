"""What was decided for one layer: a format with its block, a density, and bits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tvm_sparse.errors import FormatError

_TEXT = re.compile(
    r"(?P<format>[a-z_]+)(-(?P<block>\d+(x\d+)*))?@(?P<density>[\d.e+-]+)/(?P<bits>\d+)"
)


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How one layer is pruned and stored. ``Scheme.parse(str(scheme)) == scheme``.

    Parameters
    ----------
    format : str
        Name of a sparse format, e.g. ``"block_punched"``.
    block : tuple of int
        The format's block sizes, e.g. ``(8, 4)``; empty for formats without one.
    density : float
        Share of weights that are kept, in (0, 1].
    bits : int
        Bits of a stored weight.

    Examples
    --------
    >>> str(Scheme(format="block_punched", block=(8, 4), density=0.25))
    'block_punched-8x4@0.25/32'
    """

    format: str
    block: tuple[int, ...] = ()
    density: float = 1.0
    bits: int = 32

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 < self.density <= 1.0:
            raise FormatError(
                f"density of a scheme must lie in (0, 1], got {self.density}; "
                "density is the share of weights that stay"
            )
        if any(size < 1 for size in self.block):
            raise FormatError(f"block sizes must be at least 1, got {self.block}")

    def __str__(self) -> str:
        """Return e.g. ``block_punched-8x4@0.25/32``."""
        block = f"-{'x'.join(map(str, self.block))}" if self.block else ""
        return f"{self.format}{block}@{self.density!r}/{self.bits}"

    @classmethod
    def parse(cls, text: str) -> Scheme:
        """Read what `str` wrote; ``/32`` may be left out.

        Raises
        ------
        FormatError
            If the text is no scheme.
        """
        match = _TEXT.fullmatch(text if "/" in text else f"{text}/32")
        if match is None:
            raise FormatError(
                f"cannot read the scheme {text!r}: expected FORMAT[-BLOCK]@DENSITY[/BITS], "
                "e.g. block_punched-8x4@0.25 or unstructured@0.1"
            )
        block = tuple(int(size) for size in (match["block"] or "").split("x") if size)
        return cls(
            format=match["format"],
            block=block,
            density=float(match["density"]),
            bits=int(match["bits"]),
        )
