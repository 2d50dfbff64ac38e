"""What stands between quantized tensors, is no layer, and is computed with integers nevertheless.

Each of these reads the words of tensors of bytes, and gives those of another one::

    quantize(max_pool2d(dequantize(q)))              the largest bytes
    quantize(avg_pool2d(dequantize(q)))              exact sums, scaled once
    quantize(relu(add(dequantize(p), dequantize(q))))        sums of fixed point
    quantize(concat(dequantize(p), dequantize(q)))   the same, one beside the other
    quantize(reshape(dequantize(q)))                 bytes that are moved
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tvm import relax

from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, layers, quantized
from tvm_sparse.relay_passes.between_averages import Average
from tvm_sparse.relay_passes.between_sums import Join, Sum
from tvm_sparse.relay_passes.emit_words import LINEAR, Words, kind_of
from tvm_sparse.targets import Target

_MOVES = ("relax.reshape", "relax.permute_dims")


class Between(Protocol):
    """A quantize, and the float operators before it, down to dequantized tensors."""

    @property
    def reads(self) -> tuple[relax.Var, ...]:
        """The quantized tensors that it reads."""
        ...

    @property
    def op(self) -> str:
        """The kind of layer whose words it reads."""
        ...

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit what replaces a quantize, and return its bytes."""
        ...


def find(uses: expr.Uses, var: relax.Var, target: Target) -> Between | None:
    """Return how the result of a quantize is computed with integers, or None.

    Pooling of words has kernels for CPUs alone.
    """
    pooling = () if target.is_gpu else (Largest, Average)
    for kind in (*pooling, Sum, Join, View):
        found: Between | None = kind.find(uses, var)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, kw_only=True)
class Largest:
    """The largest of some numbers is the largest of their bytes, if all mean the same."""

    reads: tuple[relax.Var, ...]
    window: Layer
    op: str = "conv2d"

    @classmethod
    def find(cls, uses: expr.Uses, var: relax.Var) -> Largest | None:
        """Return the pooling that a quantize stores."""
        pool = uses.value(uses.values[var].args[0])
        if expr.op_name(pool) != layers.POOLS[0]:
            return None
        data, window = quantized.source(uses, pool.args[0]), layers.window_of(pool)
        same = data is not None and quantized.meaning(uses, uses.values[var]) == data[1]
        return cls(reads=(data[0],), window=window) if data and window and same else None

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit max pooling of words."""
        words.max_pool(var, self.reads[0], self.window, target, builder)
        return words.bytes(var, self.op, expr.shape(call) or (), str(call.ty.dtype), builder)


@dataclass(frozen=True, kw_only=True)
class View:
    """Bytes that are moved, and keep their meaning."""

    reads: tuple[relax.Var, ...]
    shape: tuple[int, ...]
    moves: tuple[relax.Call, ...]

    @property
    def op(self) -> str:
        """The kind of layer whose words it reads."""
        return kind_of(self.shape)

    @classmethod
    def find(cls, uses: expr.Uses, var: relax.Var) -> View | None:
        """Return the reshapes and transposes that a quantize stores."""
        moves, below = [], uses.values[var].args[0]
        while expr.op_name(uses.value(below)) in _MOVES:
            moves.append(uses.value(below))
            below = moves[-1].args[0]
        data = quantized.source(uses, below)
        if data is None or not moves or quantized.meaning(uses, uses.values[var]) != data[1]:
            return None
        return cls(reads=(data[0],), shape=expr.shape(data[0]) or (), moves=tuple(moves[::-1]))

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit the same moves of bytes; rows that stay rows keep their words."""
        if self._keeps_rows(expr.shape(call) or ()):
            words.store(var, self.op, words.known(self.reads[0], self.op))
            return words.bytes(var, self.op, expr.shape(call) or (), str(call.ty.dtype), builder)
        y = words.bytes(self.reads[0], self.op, self.shape, str(call.ty.dtype), builder)
        for move in self.moves:
            y = relax.Call(move.op, [builder.emit(y), *move.args[1:]], move.attrs)
        return y

    def _keeps_rows(self, shape: tuple[int, ...]) -> bool:
        """Whether rows of linear layers are the same rows, in the same order."""
        reshapes = all(expr.op_name(move) == "relax.reshape" for move in self.moves)
        rows = self.op == LINEAR and kind_of(shape) == LINEAR
        return rows and reshapes and shape[-1:] == self.shape[-1:]
