"""The instructions by which CPUs multiply words of four bytes and add the products to a sum.

Each function takes a sum, inputs and weights as vectors of int32 and returns the new sum. Those
whose inputs are signed, or that add in 16 bits, may stand for the operators of such a `Dot` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse.dot import PLAIN, Dot
from tvm_sparse.words import BYTES

Multiply = Callable[[Any, Any, Any], Any]
_NEON = 4  # lanes
_FACTORS = {4: "llvm.x86.ssse3.pmadd.ub.sw.128", 8: "llvm.x86.avx2.pmadd.ub.sw"}
_FACTORS[16] = "llvm.x86.avx512.pmaddubs.w.512"
_PAIRS = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd"}
_PAIRS[16] = "llvm.x86.avx512.pmaddw.d.512"


def instruction(features: Collection[str], dot: Dot, lanes: int) -> Multiply:
    """Return what multiplies words on a CPU.

    Parameters
    ----------
    features : collection of str
        As LLVM names them.
    dot : Dot
        What is said of the words.
    lanes : int
        Words of a vector.
    """
    if dot == PLAIN and lanes in _vnni(features):
        return partial(_dot_product, f"llvm.x86.avx512.vpdpbusd.{32 * lanes}")
    if dot == PLAIN and lanes == _NEON and "i8mm" in features:
        return _by_lane(partial(_dot_product, "llvm.aarch64.neon.usdot.v4i32.v16i8"))
    if dot == Dot(signed=True) and lanes == _NEON and "dotprod" in features:
        return _by_lane(partial(_dot_product, "llvm.aarch64.neon.sdot.v4i32.v16i8"))
    if dot == Dot(narrow=True) and lanes in _pairs(features):
        return partial(_added_pairs, lanes)
    if dot == Dot(signed=True, narrow=True) and lanes == _NEON and "neon" in features:
        return _neon_32 if "aclass" in features else _neon_64
    return partial(_one_by_one, dot)


def _vnni(features: Collection[str]) -> tuple[int, ...]:
    """Return the lanes for which there is a dot product of unsigned by signed bytes."""
    if "avx512vnni" in features:
        return (4, 8, 16) if "avx512vl" in features else (16,)
    return (4, 8) if "avxvnni" in features else ()


def _pairs(features: Collection[str]) -> tuple[int, ...]:
    wide = (16,) if "avx512bw" in features else ()
    return (4, 8, *wide) if "avx2" in features else wide


def octets(words: Any, kind: str = "int8") -> Any:
    """Return words as a vector of their bytes."""
    lanes = tvm.DataType(str(words.ty.dtype)).lanes
    return tirx.reinterpret(f"{kind}x{BYTES * lanes}", words)


def joined(*numbers: Any) -> Any:
    """Return the words of the lowest bytes of four vectors of int32.

    Bytes of two vectors are brought together, then pairs of bytes: three ``trn1`` on ARM.
    """
    kind = str(numbers[0].ty.dtype)
    lanes = tvm.DataType(kind).lanes
    if lanes != _NEON:
        return _shifted(kind, *numbers)
    low, high = (_merged("int8x16", *numbers[first : first + 2]) for first in (0, 2))
    return tirx.reinterpret(kind, _merged("int16x8", low, high))


def saturated(*numbers: Any) -> Any:
    """Return the words of four vectors of int32, whose lowest 16 bits are clipped to signed bytes.

    On ARM two ``uzp1``, two ``sqxtn`` and a ``tbl``.
    """
    kind = str(numbers[0].ty.dtype)
    lanes = tvm.DataType(kind).lanes
    if lanes != _NEON:
        return _shifted(kind, *(_clipped(_low_half(one), kind) for one in numbers))
    parts = []
    for first in (0, 2):
        halves = [tirx.reinterpret("int16x8", one) for one in numbers[first : first + 2]]
        pairs = tirx.Shuffle(halves, [*range(0, 16, 2)])
        parts.append(tirx.Cast("int8x8", _clipped(pairs, "int16x8")))
    places = [_NEON * number + lane for lane in range(_NEON) for number in range(BYTES)]
    return tirx.reinterpret(kind, tirx.Shuffle(parts, places))


def _low_half(number: Any) -> Any:
    """Return the lowest 16 bits of an int32 as a signed number."""
    sixteen = tirx.const(16, str(number.ty.dtype))
    return tirx.shift_right(tirx.shift_left(number, sixteen), sixteen)


def _clipped(number: Any, kind: str) -> Any:
    return tirx.max(tirx.min(number, tirx.const(127, kind)), tirx.const(-128, kind))


def _merged(kind: str, a: Any, b: Any) -> Any:
    """Return the even lanes of two vectors in turn."""
    number = tvm.DataType(kind).lanes
    places = [place + i for place in range(0, number, 2) for i in (0, number)]
    return tirx.Shuffle([tirx.reinterpret(kind, vector) for vector in (a, b)], places)


def _shifted(kind: str, *numbers: Any) -> Any:
    """Return the word of four bytes by shifts."""
    word = None
    for i, number in enumerate(numbers):
        one = number
        if i < BYTES - 1:
            one = tirx.bitwise_and(number, tirx.const(255, kind))
        one = tirx.shift_left(one, tirx.const(8 * i, kind)) if i else one
        word = one if word is None else tirx.bitwise_or(word, one)
    return word


def _dot_product(name: str, total: Any, inputs: Any, weights: Any) -> Any:
    """Return one instruction's result; it adds four products, and saturates nothing."""
    kind = total.ty.dtype
    return tirx.call_llvm_pure_intrin(kind, name, total, octets(inputs), octets(weights))


def _by_lane(multiply: Multiply) -> Multiply:
    """Let weights be lanes of vectors, of which such instructions take one."""
    return lambda total, inputs, weights: multiply(total, inputs, _lane(weights))


def _lane(weights: Any) -> Any:
    """Return a broadcast word as the lane of a vector of four neighbours, where it stands in one.

    Blocks have 4, 8 or 16 filters: words begin at a multiple of four.
    """
    load = weights.value if isinstance(weights, tirx.Broadcast) else None
    if not isinstance(load, ir.TensorLoad):
        return weights
    (index,) = load.indices
    base, place = index, 0
    if isinstance(index, tirx.Add) and isinstance(index.b, tirx.IntImm):
        base, place = index.a, int(index.b)
    first = base + place // _NEON * _NEON
    ramp = tirx.Ramp(first, tirx.IntImm(index.ty.dtype, 1), _NEON)
    return tirx.Shuffle([tirx.BufferLoad(load.source, [ramp])], [place % _NEON] * _NEON)


def _added_pairs(lanes: int, total: Any, inputs: Any, weights: Any) -> Any:
    """Return ``vpaddd(vpmaddwd(vpmaddubsw(inputs, weights), 1))``."""
    halves, ones = f"int16x{2 * lanes}", tirx.Broadcast(tirx.const(1, "int16"), 2 * lanes)
    pairs = tirx.call_llvm_pure_intrin(halves, _FACTORS[lanes], octets(inputs), octets(weights))
    return total + tirx.call_llvm_pure_intrin(total.ty.dtype, _PAIRS[lanes], pairs, ones)


def _neon_64(total: Any, inputs: Any, weights: Any) -> Any:
    """Return ``sadalp(total, addp(smull(…), smull2(…)))``."""
    low, high = _products("llvm.aarch64.neon.smull.v8i16", inputs, weights)
    pairs = tirx.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.addp.v8i16", low, high)
    name = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
    return total + tirx.call_llvm_pure_intrin("int32x4", name, pairs)


def _neon_32(total: Any, inputs: Any, weights: Any) -> Any:
    """Return the same for ARMv7, whose ``vpadd`` has half as many lanes."""
    pairs = []
    for part in _products("llvm.arm.neon.vmulls.v8i16", inputs, weights):
        ends = [tirx.Shuffle([part], [*range(first, first + 4)]) for first in (0, 4)]
        name = "llvm.arm.neon.vpadd.v4i16"
        pairs.append(tirx.call_llvm_pure_intrin("int16x4", name, *ends))
    both = tirx.Shuffle(pairs, [*range(8)])
    return tirx.call_llvm_pure_intrin("int32x4", "llvm.arm.neon.vpadals.v4i32.v8i16", total, both)


def _products(name: str, inputs: Any, weights: Any) -> list[Any]:
    """Return the 16-bit products of the first two words, and those of the last two."""
    found = []
    for first in (0, 8):
        places = [*range(first, first + 8)]
        halves = [tirx.Shuffle([octets(words)], places) for words in (inputs, weights)]
        found.append(tirx.call_llvm_pure_intrin("int16x8", name, *halves))
    return found


def _one_by_one(dot: Dot, total: Any, inputs: Any, weights: Any) -> Any:
    """Return the sum with the products of four bytes, taken out of their words by shifts."""
    kind = str(inputs.ty.dtype)

    def signed(words: Any, i: int) -> Any:
        raised = tirx.shift_left(words, tirx.const(8 * (BYTES - 1 - i), kind))
        return tirx.shift_right(raised, tirx.const(8 * (BYTES - 1), kind))

    def unsigned(words: Any, i: int) -> Any:
        return tirx.bitwise_and(
            tirx.shift_right(words, tirx.const(8 * i, kind)), tirx.const(255, kind)
        )

    for i in range(BYTES):
        total = total + (signed if dot.signed else unsigned)(inputs, i) * signed(weights, i)
    return total
