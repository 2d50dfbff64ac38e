"""Products of bytes, four at a time: one instruction where the device has it, else part by part."""

from __future__ import annotations

from tvm_sparse.targets.vulkan.spirv.arithmetic import convert
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Capability, Op
from tvm_sparse.targets.vulkan.spirv.types import INT32, Type

_FEATURE = "supports_integer_dot_product"
_BYTES_OF_WORDS = 0  # the packed format 4x8Bit


def dp4a(body: Body, kind: Type, a: tuple[int, ...], b: tuple[int, ...], total: int) -> int:
    """Return a sum and the products of four pairs of signed bytes, which are apart.

    Raises
    ------
    NotImplementedError
        If the target has no bytes.
    """
    if not body.module.supports(_FEATURE):
        for x, y in zip(a, b, strict=True):
            wide = (convert(body, value, kind, INT32) for value in (x, y))
            total = body.op(Op.IAdd, INT32, total, body.op(Op.IMul, INT32, *wide))
        return total
    body.module.need(Capability.DotProduct)
    body.module.need(Capability.DotProductInput4x8Bit)
    packed = body.module.vector(kind, 4)
    pairs = [body.result(Op.CompositeConstruct, packed, *lanes) for lanes in (a, b)]
    return body.op(Op.IAdd, INT32, body.op(Op.SDot, INT32, *pairs), total)


def dot4(body: Body, total: int, inputs: int, weights: int) -> int:
    """Return ``total + Σ byte i of inputs × byte i of weights`` of 32-bit words.

    The bytes of inputs are unsigned, those of weights signed; nothing saturates.
    """
    if not body.module.supports(_FEATURE):
        for byte in range(4):
            total = body.op(Op.IAdd, INT32, total, _product(body, inputs, weights, byte))
        return total
    body.module.need(Capability.DotProduct)
    body.module.need(Capability.DotProductInput4x8BitPacked)
    found = body.op(Op.SUDot, INT32, weights, inputs, _BYTES_OF_WORDS)
    return body.op(Op.IAdd, INT32, found, total)


def join4(body: Body, word: int, *numbers: int) -> int:
    """Return the word of the lowest bytes of four 32-bit numbers."""
    eight = body.module.constant(INT32, 8)
    for byte, number in enumerate(numbers, start=1):
        place = body.module.constant(INT32, 8 * byte)
        word = body.op(Op.BitFieldInsert, INT32, word, number, place, eight)
    return word


def _product(body: Body, inputs: int, weights: int, byte: int) -> int:
    def number(value: int) -> int:
        return body.module.constant(INT32, value)

    unsigned = body.op(Op.BitFieldUExtract, INT32, inputs, number(8 * byte), number(8))
    signed = body.op(Op.BitFieldSExtract, INT32, weights, number(8 * byte), number(8))
    return body.op(Op.IMul, INT32, unsigned, signed)
