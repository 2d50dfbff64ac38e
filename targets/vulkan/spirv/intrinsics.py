"""Mathematical functions, and which of TVM's operators they lower."""

from __future__ import annotations

import math
from collections.abc import Callable

from tvm_sparse.targets.vulkan.spirv.arithmetic import binary, convert
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Glsl, Op
from tvm_sparse.targets.vulkan.spirv.types import BOOL, FLOAT32, UINT32, Type

# Functions of floats that GLSL's library has as they are.
_GLSL = {
    "acos": Glsl.Acos,
    "acosh": Glsl.Acosh,
    "asin": Glsl.Asin,
    "asinh": Glsl.Asinh,
    "atan": Glsl.Atan,
    "atan2": Glsl.Atan2,
    "atanh": Glsl.Atanh,
    "ceil": Glsl.Ceil,
    "cos": Glsl.Cos,
    "cosh": Glsl.Cosh,
    "exp": Glsl.Exp,
    "exp2": Glsl.Exp2,
    "fabs": Glsl.FAbs,
    "floor": Glsl.Floor,
    "fma": Glsl.Fma,
    "log": Glsl.Log,
    "log2": Glsl.Log2,
    "nearbyint": Glsl.RoundEven,
    "round": Glsl.RoundEven,
    "rsqrt": Glsl.InverseSqrt,
    "sin": Glsl.Sin,
    "sinh": Glsl.Sinh,
    "sqrt": Glsl.Sqrt,
    "tan": Glsl.Tan,
    "trunc": Glsl.Trunc,
}


def _log10(body: Body, kind: Type, x: int) -> int:
    scale = body.module.constant(kind, math.log10(2))
    return body.op(Op.FMul, kind, body.glsl(Glsl.Log2, kind, x), scale)


def _exp10(body: Body, kind: Type, x: int) -> int:
    scale = body.module.constant(kind, math.log2(10))
    return body.glsl(Glsl.Exp2, kind, body.op(Op.FMul, kind, x, scale))


def _tanh(body: Body, kind: Type, x: int) -> int:
    """Drivers may compute it with exponentials: beyond 10 it is 1 in 32 bits."""
    most, least = (body.module.constant(kind, sign * 10.0) for sign in (1, -1))
    x = body.glsl(Glsl.FMax, kind, body.glsl(Glsl.FMin, kind, x, most), least)
    return body.glsl(Glsl.Tanh, kind, x)


def _sigmoid(body: Body, kind: Type, x: int) -> int:
    one, zero = (body.module.constant(kind, number) for number in (1, 0))
    power = body.glsl(Glsl.Exp, kind, body.op(Op.FSub, kind, zero, x))
    return body.op(Op.FDiv, kind, one, body.op(Op.FAdd, kind, one, power))


def _pow(body: Body, kind: Type, x: int, y: int) -> int:
    """GLSL's is undefined for a negative base: take its size, then find the sign as C does."""

    def number(value: float) -> int:
        return body.module.constant(kind, value)

    size = body.glsl(Glsl.Pow, kind, body.glsl(Glsl.FAbs, kind, x), y)
    size = body.op(Op.Select, kind, binary(body, "EQ", kind, y, number(0)), number(1), size)
    half = body.op(Op.FMul, kind, y, number(0.5))
    odd = binary(body, "NE", kind, body.glsl(Glsl.Floor, kind, half), half)
    whole = binary(body, "EQ", kind, body.glsl(Glsl.Floor, kind, y), y)
    below = binary(body, "LT", kind, x, number(0))
    signed = body.op(Op.Select, kind, odd, body.op(Op.FSub, kind, number(0), size), size)
    signed = body.op(Op.Select, kind, whole, signed, number(math.nan))
    return body.op(Op.Select, kind, below, signed, size)


def _erf(body: Body, kind: Type, x: int) -> int:
    """Abramowitz and Stegun's formula 7.1.26, in 32 bits: its error is below 1.5e-7."""

    def number(value: float) -> int:
        return body.module.constant(FLOAT32, value)

    def of(op: Op, a: int, b: int) -> int:
        return body.op(op, FLOAT32, a, b)

    wide = convert(body, x, kind, FLOAT32)
    size = body.glsl(Glsl.FAbs, FLOAT32, wide)
    t = of(Op.FDiv, number(1), of(Op.FAdd, number(1), of(Op.FMul, number(0.3275911), size)))
    total = number(1.061405429)
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        total = of(Op.FAdd, of(Op.FMul, total, t), number(term))
    square = of(Op.FSub, number(0), of(Op.FMul, size, size))
    rest = of(Op.FMul, of(Op.FMul, total, t), body.glsl(Glsl.Exp, FLOAT32, square))
    positive = of(Op.FSub, number(1), rest)
    below = binary(body, "LT", FLOAT32, wide, number(0))
    negative = of(Op.FSub, number(0), positive)
    found = body.op(Op.Select, FLOAT32, below, negative, positive)
    return convert(body, found, FLOAT32, kind)


def _isfinite(body: Body, kind: Type, x: int) -> int:
    strange = body.op(Op.LogicalOr, BOOL, body.op(Op.IsNan, BOOL, x), body.op(Op.IsInf, BOOL, x))
    return body.op(Op.LogicalNot, BOOL, strange)


def _clz(body: Body, kind: Type, x: int) -> int:
    """Count leading zeros of 32 bits; GLSL's library finds the highest bit, -1 without any."""
    highest = body.glsl(Glsl.FindUMsb, Type("int", 32), convert(body, x, kind, UINT32))
    return body.op(Op.ISub, Type("int", 32), body.module.constant(Type("int", 32), 31), highest)


_COMPOSED: dict[str, Callable[..., int]] = {
    "clz": _clz,
    "erf": _erf,
    "exp10": _exp10,
    "isfinite": _isfinite,
    "log10": _log10,
    "pow": _pow,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
}
_TESTS = {"isinf": Op.IsInf, "isnan": Op.IsNan}

FUNCTIONS = frozenset(_GLSL) | frozenset(_COMPOSED) | frozenset(_TESTS) | {"popcount", "abs"}


def call(body: Body, name: str, kind: Type, arguments: list[int]) -> int:
    """Return a function of scalars of one type.

    Raises
    ------
    NotImplementedError
        If there is no such function, or not of this type.
    """
    if name in _TESTS:
        return body.op(_TESTS[name], BOOL, *arguments)
    if name == "popcount" and kind.bits == 32:
        return body.op(Op.BitCount, kind, *arguments)
    if name in ("abs", "fabs") and kind.kind == "int":
        return body.glsl(Glsl.SAbs, kind, *arguments)
    name = "fabs" if name == "abs" else name
    integer = kind.kind != "float"
    known = name in _GLSL or name in _COMPOSED
    if not known or integer != (name == "clz") or (kind.bits == 64 and name not in _OF_64_BITS):
        raise NotImplementedError(f"it calls {name} of {kind}, which has no counterpart in SPIR-V")
    if name in _GLSL:
        return body.glsl(_GLSL[name], kind, *arguments)
    return _COMPOSED[name](body, kind, *arguments)


# What GLSL's library computes in 64 bits too.
_OF_64_BITS = frozenset(
    {"ceil", "fabs", "floor", "fma", "isfinite", "nearbyint", "round", "rsqrt", "sqrt", "trunc"}
)
