"""What the 32-bit words of A64 code are: branches and where they go, multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """A kind of branch: words that equal `value` under `mask`; its distance, if it has one."""

    mask: int
    value: int
    shift: int = 0
    bits: int = 0


_BRANCHES = (
    _Branch(mask=0x7C000000, value=0x14000000, bits=26),  # b, bl
    _Branch(mask=0xFF000000, value=0x54000000, shift=5, bits=19),  # b.cond
    _Branch(mask=0x7E000000, value=0x34000000, shift=5, bits=19),  # cbz, cbnz
    _Branch(mask=0x7E000000, value=0x36000000, shift=5, bits=14),  # tbz, tbnz
    _Branch(mask=0xFE000000, value=0xD6000000),  # br, blr, ret
)
_MULTIPLY_ADDS = (  # fmla and fmls of whole vectors of floats: by element, by vector
    (0xFFC0B400, 0x4F801000),
    (0xFF60FC00, 0x4E20CC00),
)
_HALF_MULTIPLY_ADDS = (  # of float16
    (0xFFC0B400, 0x4F001000),
    (0xFF60FC00, 0x4E400C00),
)
_MOVE = 0x4EA01C00  # mov vd.16b, vn.16b


def leaders(words: Words) -> Flags:
    """Return at which words basic blocks begin, shape (words,): after branches, and at targets."""
    found = np.zeros(len(words) + 1, bool)
    found[0] = True
    for kind in _BRANCHES:
        places = np.nonzero(words & np.uint32(kind.mask) == kind.value)[0]
        found[places + 1] = True
        if kind.bits:
            targets = places + _distances(words[places], kind)
            found[targets[(targets >= 0) & (targets < len(words))]] = True
    return found[:-1]


def target(word: int) -> int | None:
    """Return how many words further a direct branch goes, None for any other instruction."""
    for kind in _BRANCHES:
        if word & kind.mask == kind.value and kind.bits:
            return int(_distances(np.array([word], np.uint32), kind)[0])
    return None


def multiply_adds(words: Words) -> Flags:
    """Return which words multiply and add whole vectors of floats, shape (words,)."""
    return _any(words, _MULTIPLY_ADDS + _HALF_MULTIPLY_ADDS)


def without_arithmetic(words: Words) -> Words:
    """Return the code with moves in the place of multiply-adds, which take long to emulate.

    What it computes is wrong then; which way it goes is the same, as no branch of a kernel depends
    on a float.
    """
    operands = words & np.uint32(0x3FF)
    source = (words >> np.uint32(5)) & np.uint32(0x1F)
    moved = np.uint32(_MOVE) | operands | source << np.uint32(16)
    return np.where(multiply_adds(words), moved, words).astype(np.uint32)


def _any(words: Words, kinds: tuple[tuple[int, int], ...]) -> Flags:
    found = np.zeros(len(words), bool)
    for mask, value in kinds:
        found |= words & np.uint32(mask) == value
    return found


def _distances(words: Words, kind: _Branch) -> npt.NDArray[np.int64]:
    """Return the signed distances, in words, that branches of a kind hold."""
    field: Any = (words.astype(np.int64) >> kind.shift) & ((1 << kind.bits) - 1)
    return np.asarray(field - ((field >> (kind.bits - 1)) << kind.bits))
