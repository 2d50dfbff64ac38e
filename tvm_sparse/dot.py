"""How a CPU multiplies words of four bytes: what it takes for signed, and where it adds.

The weights of a word are signed bytes. Inputs are bytes 0 to 255; some instructions take signed
ones only. Every word of a model for such a CPU then stands for its bytes less 128, which flips the
highest bit of each, and what that takes from a sum is part of what the sum begins with::

    Σ byte · weight  =  Σ (byte - 128) · weight  +  128 · Σ weight

Others add the products of two neighbouring bytes in 16 bits, which some pairs of weights do not
fit; see `tvm_sparse.narrow` for what becomes of these. Either way sums are exact.

===================================  ========  ======
instruction                          signed    narrow
===================================  ========  ======
``vpdpbusd`` (AVX-512 and AVX VNNI)  no        no
``usdot``, ``usmmla`` (i8mm of ARM)  no        no
``sdot`` (ARM with the dot product)  yes       no
``vpmaddubsw`` (AVX2, AVX-512BW)     no        yes
``smull``, ``sadalp`` (NEON)         yes       yes
===================================  ========  ======
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

SIGN = 128
_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Dot:
    """How the bytes of two words are multiplied and added to a 32-bit sum.

    Parameters
    ----------
    signed : bool
        Whether words of inputs hold their bytes less 128.
    narrow : bool
        Whether the products of bytes 0 and 1 must fit 16 bits together, and those of 2 and 3.
    """

    signed: bool = False
    narrow: bool = False

    @property
    def flip(self) -> int:
        """What words of bytes 0 to 255 are XORed with, a signed 32-bit number."""
        byte = SIGN if self.signed else 0
        return int.from_bytes([byte] * _BYTES, "little", signed=True)

    @property
    def inputs(self) -> tuple[int, int]:
        """The smallest and the largest byte of an input."""
        return (-SIGN, SIGN - 1) if self.signed else (0, 2 * SIGN - 1)


PLAIN = Dot()


def of_features(features: Collection[str]) -> Dot:
    """Return how a CPU multiplies words, by LLVM's names of its features."""
    has = set(features)
    if has & {"avx512vnni", "avxvnni", "i8mm"}:
        return PLAIN
    if has & {"dotprod", "neon"}:
        return Dot(signed=True, narrow="dotprod" not in has)
    return Dot(narrow=bool(has & {"avx2", "avx512bw"}))
