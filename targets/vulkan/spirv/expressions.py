"""Expressions of TIR; a value is a tuple of scalars, one for each lane.

Vectors stay tuples: SPIR-V's have at most four lanes, and drivers join neighbouring accesses.
"""

from __future__ import annotations

from typing import Any

from tvm_sparse.targets.vulkan.spirv import atomics, intrinsics, memory, subgroups
from tvm_sparse.targets.vulkan.spirv.arithmetic import BINARY, binary, convert
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Op
from tvm_sparse.targets.vulkan.spirv.memory import Region
from tvm_sparse.targets.vulkan.spirv.products import dot4, dp4a, join4
from tvm_sparse.targets.vulkan.spirv.types import BOOL, parse

Value = tuple[int, ...]


def key(node: Any) -> int:
    """Return what identifies a variable or buffer."""
    return int(node.__chandle__())


class Expressions:
    """Writes expressions into a kernel's body.

    Parameters
    ----------
    body : Body
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.values: dict[int, Value] = {}
        self.regions: dict[int, Region] = {}

    def value(self, node: Any) -> Value:
        """Return the value of an expression.

        Raises
        ------
        NotImplementedError
            If SPIR-V, or the target, cannot compute it.
        """
        name = type(node).__name__
        if name in BINARY:
            return self._binary(name, node.a, node.b)
        visit = getattr(self, f"_{name}", None)
        if visit is None:
            raise NotImplementedError(f"it contains a {name}")
        found: Value = visit(node)
        return found

    def scalar(self, node: Any) -> int:
        """Return the value of an expression of one lane."""
        (value,) = self.value(node)
        return value

    def region(self, buffer: Any) -> Region:
        """Return the memory of a buffer, which is known by itself or by its data."""
        found = self.regions.get(key(buffer))
        return self.regions[key(buffer.data)] if found is None else found

    def indices(self, region: Region, index: Any) -> list[int]:
        """Return where each lane of an access lies, in scalars."""
        module, kind = self.body.module, parse(index.ty.dtype)[0]
        flat = list(self.value(index))
        if region.lanes == 1:
            return flat
        lanes = module.constant(kind, region.lanes)
        first = [self.body.op(Op.IMul, kind, value, lanes) for value in flat]
        return [
            self.body.op(Op.IAdd, kind, value, module.constant(kind, lane))
            for value in first
            for lane in range(region.lanes)
        ]

    def _binary(self, name: str, a: Any, b: Any) -> Value:
        kind = parse(a.ty.dtype)[0]
        pairs = zip(self.value(a), self.value(b), strict=True)
        return tuple(binary(self.body, name, kind, x, y) for x, y in pairs)

    def _Var(self, node: Any) -> Value:
        return self.values[key(node)]

    def _IntImm(self, node: Any) -> Value:
        return (self.body.module.constant(parse(node.ty.dtype)[0], node.value),)

    _FloatImm = _IntImm

    def _Not(self, node: Any) -> Value:
        return tuple(self.body.op(Op.LogicalNot, BOOL, value) for value in self.value(node.a))

    def _BitwiseNot(self, node: Any) -> Value:
        return self._call_bitwise_not(node, [node.a])

    def _Cast(self, node: Any) -> Value:
        source, target = parse(node.value.ty.dtype)[0], parse(node.ty.dtype)[0]
        return tuple(convert(self.body, x, source, target) for x in self.value(node.value))

    def _Select(self, node: Any) -> Value:
        return self._select(node.condition, node.true_value, node.false_value)

    def _select(self, condition: Any, then: Any, other: Any) -> Value:
        kind, lanes = parse(then.ty.dtype)
        tests = self.value(condition)
        tests = tests * lanes if len(tests) == 1 else tests
        triples = zip(tests, self.value(then), self.value(other), strict=True)
        return tuple(self.body.op(Op.Select, kind, *triple) for triple in triples)

    def _Ramp(self, node: Any) -> Value:
        kind, lanes = parse(node.ty.dtype)
        base, stride = self.scalar(node.base), self.scalar(node.stride)
        found = [base]
        while len(found) < lanes:
            found.append(self.body.op(Op.IAdd, kind, found[-1], stride))
        return tuple(found)

    def _Broadcast(self, node: Any) -> Value:
        return self.value(node.value) * (parse(node.ty.dtype)[1] // parse(node.value.ty.dtype)[1])

    def _Let(self, node: Any) -> Value:
        self.values[key(node.var)] = self.value(node.value)
        return self.value(node.body)

    def _Shuffle(self, node: Any) -> Value:
        lanes = [lane for vector in node.vectors for lane in self.value(vector)]
        return tuple(lanes[int(index)] for index in node.indices)

    def _TensorLoad(self, node: Any) -> Value:
        region = self.region(node.source)
        return tuple(
            memory.load(self.body, region, index) for index in self.indices(region, node.indices[0])
        )

    def _Call(self, node: Any) -> Value:
        name, arguments = str(node.op.name).rsplit(".", 1)[-1], list(node.args)
        if name in ("call_pure_extern", "call_extern"):
            name, arguments = _function(str(arguments[0].value)), arguments[1:]
        visit = getattr(self, f"_call_{name}", None)
        if visit is not None:
            found: Value = visit(node, arguments)
            return found
        if name in BINARY:
            return self._binary(name, *arguments)
        if name not in intrinsics.FUNCTIONS:
            raise NotImplementedError(f"it calls {node.op.name} ({name})")
        kind = parse(arguments[0].ty.dtype)[0]
        lanes = zip(*(self.value(argument) for argument in arguments), strict=True)
        return tuple(intrinsics.call(self.body, name, kind, list(lane)) for lane in lanes)

    def _call_likely(self, node: Any, arguments: list[Any]) -> Value:
        return self.value(arguments[0])

    def _call_bitwise_not(self, node: Any, arguments: list[Any]) -> Value:
        kind = parse(node.ty.dtype)[0]
        op = Op.LogicalNot if kind == BOOL else Op.Not
        return tuple(self.body.op(op, kind, value) for value in self.value(arguments[0]))

    def _call_if_then_else(self, node: Any, arguments: list[Any]) -> Value:
        """Evaluate only the case that holds: the other may read outside of a buffer."""
        kind, lanes = parse(node.ty.dtype)
        scalar = self.body.module.scalar(kind)
        results = [self.body.variable(scalar) for _ in range(lanes)]
        with self.body.when(self.scalar(arguments[0])) as otherwise:
            self._assign(results, arguments[1])
            otherwise()
            self._assign(results, arguments[2])
        return tuple(self.body.op(Op.Load, kind, result) for result in results)

    def _assign(self, results: list[int], node: Any) -> None:
        for result, value in zip(results, self.value(node), strict=True):
            self.body.add(Op.Store, result, value)

    def _call_reinterpret(self, node: Any, arguments: list[Any]) -> Value:
        source, lanes = parse(arguments[0].ty.dtype)
        target, wanted = parse(node.ty.dtype)
        if lanes != wanted:
            raise NotImplementedError(f"it reinterprets {lanes} lanes of {source} as {wanted}")
        if source == target:
            return self.value(arguments[0])
        return tuple(self.body.op(Op.Bitcast, target, x) for x in self.value(arguments[0]))

    def _call_dp4a(self, node: Any, arguments: list[Any]) -> Value:
        """Add the products of four pairs of bytes to a sum."""
        a, b, total = (self.value(argument) for argument in arguments)
        return (dp4a(self.body, parse(arguments[0].ty.dtype)[0], a, b, total[0]),)

    def _call_dot4(self, node: Any, arguments: list[Any]) -> Value:
        """Add the products of the unsigned bytes of a word and the signed bytes of another."""
        triples = zip(*(self.value(argument) for argument in arguments), strict=True)
        return tuple(dot4(self.body, *triple) for triple in triples)

    def _call_join4(self, node: Any, arguments: list[Any]) -> Value:
        """Bring the lowest bytes of four numbers together."""
        lanes = zip(*(self.value(argument) for argument in arguments), strict=True)
        return tuple(join4(self.body, *numbers) for numbers in lanes)

    def _call_subgroup_reduce(self, node: Any, arguments: list[Any]) -> Value:
        kind = parse(node.ty.dtype)[0]
        name, value = str(arguments[0].value), self.scalar(arguments[1])
        return (subgroups.reduced(self.body, name, kind, value),)

    def _call_subgroup_shuffle_xor(self, node: Any, arguments: list[Any]) -> Value:
        value, mask = (self.scalar(argument) for argument in arguments)
        return (subgroups.shuffled(self.body, parse(node.ty.dtype)[0], value, mask),)

    def _call_atomic_add(self, node: Any, arguments: list[Any]) -> Value:
        address = arguments[0].args[0]  # of address_of
        region = self.region(address.source)
        (index,) = self.indices(region, address.indices[0])
        return (atomics.add(self.body, region, index, self.scalar(arguments[1])),)


def _function(name: str) -> str:
    """Return a C function's name without the suffix of its type."""
    return name if name in intrinsics.FUNCTIONS else name.removesuffix("f")
