"""Emit words of four channels, and the integer kernels that read them, into a Relax function."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from tvm import relax

from tvm_sparse import implement, kernel
from tvm_sparse.algorithms import words as algorithms
from tvm_sparse.dot import Dot
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Bytes
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr
from tvm_sparse.relay_passes.quantized import Found
from tvm_sparse.targets import Target
from tvm_sparse.words import BYTES

LINEAR = "linear"


class Words:
    """The quantized tensors of a function that are words already.

    Images are words (batch, channels / 4, H, W), the rows of linear layers (channels / 4, rows):
    tensors are known by the variable of their bytes, and the kind of layer that reads them.

    Parameters
    ----------
    dot : Dot
        How the target multiplies words.
    """

    def __init__(self, dot: Dot) -> None:
        self.dot = dot
        self._known: dict[tuple[relax.Var, str], relax.Expr] = {}

    def layer(
        self,
        var: relax.Var,
        call: Any,
        builder: relax.BlockBuilder,
        found: Found,
        bound: Implementation,
    ) -> relax.Expr:
        """Return what replaces a call: a layer's floats, or the bytes of a quantize after it."""
        op, numbers = found.layer.op, found.numbers
        args = [self._known[found.data, op], *emit.constants(bound)]
        if found.residual is not None:
            args.append(self._known[found.residual, op])
        shape = _shape(found.layer, numbers.output is not None)
        kind = relax.TensorType(shape, "float32" if numbers.output is None else "int32")
        result = builder.emit(emit.kernel_call(builder, bound.func, bound.name, args, kind))
        if numbers.output is None:
            return _outwards(result, op, expr.shape(call) or (), builder)
        self._known[var, op] = result
        return self.bytes(var, op, expr.shape(call) or (), str(call.ty.dtype), builder)

    def known(self, var: relax.Var, op: str) -> relax.Expr:
        """Return the words of a tensor."""
        return self._known[var, op]

    def store(self, var: relax.Var, op: str, words: relax.Expr) -> None:
        """Note the words of a tensor."""
        self._known[var, op] = words

    def max_pool(
        self,
        var: relax.Var,
        read: relax.Var,
        window: Layer,
        target: Target,
        builder: relax.BlockBuilder,
    ) -> None:
        """Emit the largest bytes of windows, as words."""
        words = -(-window.filters // BYTES)
        over_words = replace(window, weight=(words, *window.weight[1:]), groups=words)
        best = kernel.by_channels(over_words, target)
        pooling = implement.max_pool(over_words, best, words=self.dot)
        kind = relax.TensorType((window.input[0], words, *window.output[1:]), "int32")
        args = [self._known[read, "conv2d"]]
        call = emit.kernel_call(builder, pooling.func, pooling.name, args, kind)
        self._known[var, "conv2d"] = builder.emit(call)

    def bytes(
        self,
        var: relax.Var,
        op: str,
        shape: tuple[int, ...],
        dtype: str,
        builder: relax.BlockBuilder,
    ) -> relax.Expr:
        """Return the bytes of a tensor of words, in its shape and type."""
        y = self.unpacked(self._known[var, op], shape[-1 if op == LINEAR else 1], dtype, builder)
        return _outwards(y, op, shape, builder)

    def join(
        self, var: relax.Var, op: str, octets: relax.Expr, builder: relax.BlockBuilder
    ) -> None:
        """Emit the words of unsigned bytes that have channels where words have theirs."""
        self._known[var, op] = self._emit(builder, algorithms.packed, octets, "pack")

    def pack(self, var: relax.Var, op: str, q: relax.Expr, builder: relax.BlockBuilder) -> None:
        """Emit the words of bytes, for a kind of layer that has none yet."""
        if (var, op) not in self._known:
            q = _inwards(q, op, builder)
            self._known[var, op] = self._emit(builder, algorithms.packed, q, "pack")

    def quantize(
        self, var: relax.Var, op: str, x: relax.Expr, builder: relax.BlockBuilder, given: Bytes
    ) -> None:
        """Emit the words of floats."""
        x = _inwards(x, op, builder)
        self._known[var, op] = self._emit(builder, algorithms.quantized, x, "quantize", given=given)

    def real(
        self, var: relax.Var, given: Bytes, call: Any, builder: relax.BlockBuilder
    ) -> relax.Expr:
        """Return the floats of a quantized tensor; from its words, if there are any."""
        found = [(op, words) for (known, op), words in self._known.items() if known.same_as(var)]
        if not found:
            return call
        op, words = found[0]
        shape = expr.shape(call) or ()
        channels = shape[-1] if op == LINEAR else shape[1]
        y = self._emit(
            builder, algorithms.real, words, "dequantize", channels=channels, given=given
        )
        return _outwards(y, op, shape, builder)

    def unpacked(
        self, words: relax.Expr, channels: int, dtype: str, builder: relax.BlockBuilder
    ) -> relax.Expr:
        """Emit words as bytes, with channels where words have theirs."""
        known = {"channels": channels, "dtype": dtype}
        return self._emit(builder, algorithms.unpacked, words, "unpack", **known)

    def _emit(
        self, builder: relax.BlockBuilder, algorithm: Any, x: relax.Expr, name: str, **known: Any
    ) -> relax.Expr:
        """Emit a call of an element-wise algorithm."""
        compute = functools.partial(algorithm, dot=self.dot, **known)
        return builder.emit_te(compute, x, primfunc_name_hint=name)


def kind_of(shape: tuple[int, ...]) -> str:
    """Return the kind of layer whose words a tensor of a shape has by itself."""
    return "conv2d" if len(shape) == 4 else LINEAR


def _shape(layer: Layer, in_words: bool) -> tuple[int, ...]:
    """Return the shape of a kernel's output."""
    filters = -(-layer.filters // BYTES) if in_words else layer.filters
    if layer.op == LINEAR:
        return filters, layer.positions
    return layer.output[0], filters, *layer.output[1:]


def _inwards(x: relax.Expr, op: str, builder: relax.BlockBuilder) -> relax.Expr:
    """Return a tensor with channels where kernels expect them; rows are transposed."""
    if op != LINEAR:
        return x
    shape = expr.shape(x) or ()
    if len(shape) != 2:
        x = builder.emit(relax.op.reshape(x, (-1, shape[-1])))
    return builder.emit(relax.op.permute_dims(x))


def _outwards(
    y: relax.Expr, op: str, shape: tuple[int, ...], builder: relax.BlockBuilder
) -> relax.Expr:
    """Return a kernel's output in the shape of what it replaces."""
    if op != LINEAR:
        return y
    y = relax.op.permute_dims(y)
    return y if len(shape) == 2 else relax.op.reshape(builder.emit(y), shape)
