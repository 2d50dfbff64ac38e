"""Sums, changes of scale and concatenations of quantized tensors.

Before::

    zq = R.quantize(R.nn.relu(R.add(R.dequantize(xq, 0.1, 5), R.dequantize(yq, 0.2, 0))), 0.3, 0)
    cq = R.quantize(R.concat((R.dequantize(xq, 0.1, 5), R.dequantize(yq, 0.2, 0)), axis=1), 0.2, 0)

After, on words of four channels::

    zw = R.call_tir(sum, (xw, yw), ...)
    cw = R.concat((R.call_tir(sum, (xw,), ...), yw), axis=1)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from tvm import relax

from tvm_sparse.algorithms import word_sums
from tvm_sparse.dot import Dot
from tvm_sparse.fixed_point import FixedPoint
from tvm_sparse.integer import Bytes
from tvm_sparse.relay_passes import expr, quantized
from tvm_sparse.relay_passes.emit_words import LINEAR, Words, kind_of
from tvm_sparse.targets import Target
from tvm_sparse.words import BYTES

_Term = tuple[relax.Var, Bytes]


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Tensors that are added up, or one that changes its scale or is clipped."""

    reads: tuple[relax.Var, ...]
    given: FixedPoint
    op: str

    @classmethod
    def find(cls, uses: expr.Uses, var: relax.Var) -> Sum | None:
        """Return the sum that a quantize stores."""
        output = quantized.meaning(uses, uses.values[var])
        below, low, high = quantized.before_clamps(uses, uses.values[var].args[0])
        terms = _terms(uses, below)
        shape = expr.shape(var) or ()
        if output is None or not terms or any(expr.shape(read) != shape for read, _ in terms):
            return None
        given = FixedPoint.of([known for _, known in terms], output, low, high)
        reads = tuple(read for read, _ in terms)
        return None if given is None else cls(reads=reads, given=given, op=kind_of(shape))

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit the sum of words."""
        read = [words.known(each, self.op) for each in self.reads]
        words.store(var, self.op, _summed(read, self.given, words.dot, builder))
        return words.bytes(var, self.op, expr.shape(call) or (), str(call.ty.dtype), builder)


@dataclass(frozen=True, kw_only=True)
class Join:
    """Tensors one beside the other; each may change its scale."""

    reads: tuple[relax.Var, ...]
    given: tuple[FixedPoint, ...]
    axis: int
    op: str

    @classmethod
    def find(cls, uses: expr.Uses, var: relax.Var) -> Join | None:
        """Return the concatenation that a quantize stores."""
        output = quantized.meaning(uses, uses.values[var])
        below, low, high = quantized.before_clamps(uses, uses.values[var].args[0])
        call = uses.value(below)
        if expr.op_name(call) != "relax.concat" or output is None:
            return None
        given, reads = [], []
        for part in uses.value(call.args[0]).fields:
            inner, first, last = quantized.before_clamps(uses, part)
            term = quantized.source(uses, inner)
            bounds = (min(max(bound, low), high) for bound in (first, last))
            point = None if term is None else FixedPoint.of([term[1]], output, *bounds)
            if term is None or point is None:
                return None
            reads.append(term[0])
            given.append(point)
        shape, axis = expr.shape(var) or (), int(call.attrs.axis)
        axis, op = axis % len(shape), kind_of(shape)
        if op == LINEAR and axis != len(shape) - 1:
            return None
        return cls(reads=tuple(reads), given=tuple(given), axis=axis, op=op)

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit the concatenation of words, or of bytes where words would be cut."""
        shape, dtype = expr.shape(call) or (), str(call.ty.dtype)
        channel_axis = len(shape) - 1 if self.op == LINEAR else 1
        parts = [
            _summed([words.known(read, self.op)], given, words.dot, builder)
            for read, given in zip(self.reads, self.given, strict=True)
        ]
        sizes = [(expr.shape(read) or ())[channel_axis] for read in self.reads]
        axis = 0 if self.op == LINEAR else self.axis
        if self.axis != channel_axis or not any(size % BYTES for size in sizes[:-1]):
            words.store(var, self.op, builder.emit(relax.op.concat(parts, axis)))
        else:
            octets = [
                words.unpacked(part, size, "uint8", builder)
                for part, size in zip(parts, sizes, strict=True)
            ]
            words.join(var, self.op, builder.emit(relax.op.concat(octets, axis)), builder)
        return words.bytes(var, self.op, shape, dtype, builder)


def _terms(uses: expr.Uses, value: Any) -> list[_Term]:
    """Return the quantized tensors that are added up; none if there is anything else."""
    term = quantized.source(uses, value)
    if term is not None:
        return [term]
    call = uses.value(value)
    if expr.op_name(call) != "relax.add":
        return []
    parts = [_terms(uses, arg) for arg in call.args]
    return [*parts[0], *parts[1]] if all(parts) else []


def _summed(
    read: list[relax.Expr], given: FixedPoint, dot: Dot, builder: relax.BlockBuilder
) -> relax.Expr:
    """Emit a sum of words, unless it is a copy."""
    if given.is_copy:
        return read[0]
    algorithm = functools.partial(word_sums.summed, given=given, dot=dot)
    return builder.emit_te(algorithm, *read, primfunc_name_hint="sum")
