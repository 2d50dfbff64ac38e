"""Comparisons that one driver gets wrong are written in a way that all get right."""

from __future__ import annotations

import pytest

from tvm_sparse.targets.vulkan.spirv.arithmetic import binary, convert
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Op
from tvm_sparse.targets.vulkan.spirv.module import Module, encode
from tvm_sparse.targets.vulkan.spirv.types import BOOL, INT32, Type

LONG = Type("int", 64)


def body() -> Body:
    return Body(Module({"supports_int64": True}))


def ends_with(found: Body, *words: int) -> bool:
    """Whether a function's last instruction before its return is this one."""
    code = found.finish()[: -len(encode(Op.Return) + encode(Op.FunctionEnd))]
    return code[-len(words) :] == list(words)


def test_a_widened_number_is_compared_as_the_narrow_one() -> None:
    code = body()
    x, limit = code.variable(code.module.scalar(INT32)), code.module.constant(LONG, 2)
    wide = convert(code, x, INT32, LONG)
    result = binary(code, "LE", LONG, limit, wide)
    narrow = code.module.constant(INT32, 2)
    kind = code.module.scalar(BOOL)
    assert ends_with(code, *encode(Op.SLessThanEqual, kind, result, narrow, x))


@pytest.mark.parametrize(("name", "holds"), [("LT", True), ("GE", False), ("NE", True)])
def test_every_narrow_number_is_below_a_wide_limit(name: str, holds: bool) -> None:
    code = body()
    x = code.variable(code.module.scalar(INT32))
    limit = code.module.constant(LONG, 1 << 40)
    result = binary(code, name, LONG, convert(code, x, INT32, LONG), limit)
    assert result == code.module.constant(BOOL, holds)


def test_numbers_that_are_no_constants_are_compared_as_they_are() -> None:
    code = body()
    x, y = (code.variable(code.module.scalar(INT32)) for _ in range(2))
    a, b = (convert(code, value, INT32, LONG) for value in (x, y))
    result = binary(code, "LT", LONG, a, b)
    kind = code.module.scalar(BOOL)
    assert ends_with(code, *encode(Op.SLessThan, kind, result, a, b))
