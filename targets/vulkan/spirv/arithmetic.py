"""Arithmetic, comparisons and conversions of scalars."""

from __future__ import annotations

import operator
from collections.abc import Callable

from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Glsl, Op
from tvm_sparse.targets.vulkan.spirv.types import BOOL, Type

_KINDS = ("float", "int", "uint", "bool")
# By node of TVM's: the instruction for floats, signed and unsigned integers, and booleans.
_BINARY: dict[str, tuple[Op | None, Op | None, Op | None, Op | None]] = {
    "Add": (Op.FAdd, Op.IAdd, Op.IAdd, Op.LogicalOr),
    "Sub": (Op.FSub, Op.ISub, Op.ISub, None),
    "Mul": (Op.FMul, Op.IMul, Op.IMul, Op.LogicalAnd),
    "Div": (Op.FDiv, Op.SDiv, Op.UDiv, None),
    "Mod": (Op.FRem, Op.SRem, Op.UMod, None),
    "EQ": (Op.FOrdEqual, Op.IEqual, Op.IEqual, Op.LogicalEqual),
    "NE": (Op.FUnordNotEqual, Op.INotEqual, Op.INotEqual, Op.LogicalNotEqual),
    "LT": (Op.FOrdLessThan, Op.SLessThan, Op.ULessThan, None),
    "LE": (Op.FOrdLessThanEqual, Op.SLessThanEqual, Op.ULessThanEqual, None),
    "GT": (Op.FOrdGreaterThan, Op.SGreaterThan, Op.UGreaterThan, None),
    "GE": (Op.FOrdGreaterThanEqual, Op.SGreaterThanEqual, Op.UGreaterThanEqual, None),
    "And": (None, None, None, Op.LogicalAnd),
    "Or": (None, None, None, Op.LogicalOr),
    "bitwise_and": (None, Op.BitwiseAnd, Op.BitwiseAnd, Op.LogicalAnd),
    "bitwise_or": (None, Op.BitwiseOr, Op.BitwiseOr, Op.LogicalOr),
    "bitwise_xor": (None, Op.BitwiseXor, Op.BitwiseXor, Op.LogicalNotEqual),
    "shift_left": (None, Op.ShiftLeftLogical, Op.ShiftLeftLogical, None),
    "shift_right": (None, Op.ShiftRightArithmetic, Op.ShiftRightLogical, None),
}
_BINARY |= {
    "BitwiseAnd": _BINARY["bitwise_and"],
    "BitwiseOr": _BINARY["bitwise_or"],
    "BitwiseXor": _BINARY["bitwise_xor"],
    "LShift": _BINARY["shift_left"],
    "RShift": _BINARY["shift_right"],
}
_COMPARISONS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE", "And", "Or"})
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
    "GE": operator.ge,
}
_EXTREMES = {
    "Min": {"float": Glsl.FMin, "int": Glsl.SMin, "uint": Glsl.UMin},
    "Max": {"float": Glsl.FMax, "int": Glsl.SMax, "uint": Glsl.UMax},
}
_INSTEAD = {"Min": "And", "Max": "Or"}  # of booleans

BINARY = frozenset(_BINARY) | frozenset(_EXTREMES)


def binary(body: Body, name: str, kind: Type, a: int, b: int) -> int:
    """Return ``a name b`` for operands of a type; comparisons give a boolean.

    Raises
    ------
    NotImplementedError
        If the type has no such operation.
    """
    if name in _EXTREMES:
        if kind == BOOL:
            return binary(body, _INSTEAD[name], kind, a, b)
        return _extreme(body, name, kind, a, b)
    if name in _ORDERS:
        found = _narrow(body, name, a, b)
        if found is not None:
            return found
    op = _BINARY[name][_KINDS.index(kind.kind)]
    if op is None:
        raise NotImplementedError(f"it computes {name} of {kind}, which SPIR-V cannot")
    return body.op(op, BOOL if name in _COMPARISONS else kind, a, b)


def _narrow(body: Body, name: str, a: int, b: int) -> int | None:
    """Return the comparison of a widened integer with a constant, or None if it is another one.

    It compares what was widened: Mesa 22 takes ``i64(x) < 2`` of an int32 to be false for any x.
    """
    wide, other = (a, b) if a in body.widened else (b, a)
    if wide not in body.widened or other not in body.module.numbers:
        return None
    value, kind = body.widened[wide]
    number = body.module.numbers[other]
    most = 1 << (kind.bits - 1)
    if not -most <= number < most:  # every value is on the same side of it
        pair = (0, number) if wide == a else (number, 0)
        return body.module.constant(BOOL, _ORDERS[name](*pair))
    constant = body.module.constant(kind, number)
    pair = (value, constant) if wide == a else (constant, value)
    return binary(body, name, kind, *pair)


def _extreme(body: Body, name: str, kind: Type, a: int, b: int) -> int:
    """Return the smaller or larger; GLSL's library knows integers of 32 bits only."""
    if kind.kind == "float" or kind.bits == 32:
        return body.glsl(_EXTREMES[name][kind.kind], kind, a, b)
    test = binary(body, "LT" if name == "Min" else "GT", kind, a, b)
    return body.op(Op.Select, kind, test, a, b)


def convert(body: Body, value: int, source: Type, target: Type) -> int:
    """Return a value as another type, as C converts it."""
    if source == target:
        return value
    if target == BOOL:
        zero = body.module.constant(source, 0)
        return binary(body, "NE", source, value, zero)
    if source == BOOL:
        one, zero = (body.module.constant(target, number) for number in (1, 0))
        return body.op(Op.Select, target, value, one, zero)
    if source.kind == "float" or target.kind == "float":
        return body.op(_float_conversion(source, target), target, value)
    if source.bits != target.bits:
        op = Op.SConvert if source.kind == "int" else Op.UConvert
        same_sign = Type(source.kind, target.bits)
        wide = body.op(op, same_sign, value)
        if op == Op.SConvert and source.bits < target.bits:
            body.widened[wide] = value, source
        value, source = wide, same_sign
    return value if source == target else body.op(Op.Bitcast, target, value)


def _float_conversion(source: Type, target: Type) -> Op:
    if source.kind == target.kind:
        return Op.FConvert
    if source.kind == "float":
        return Op.ConvertFToS if target.kind == "int" else Op.ConvertFToU
    return Op.ConvertSToF if source.kind == "int" else Op.ConvertUToF
