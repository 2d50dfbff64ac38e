"""Average pooling of quantized tensors, over windows or whole images.

Before::

    yq = R.quantize(R.nn.avg_pool2d(R.dequantize(xq, 0.1, 5)), 0.05, 0)

After::

    yw = R.call_tir(average_pool_words, (xw, share), ...)      # words of four channels
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

from tvm_sparse import kernel
from tvm_sparse.algorithms import word_averages
from tvm_sparse.fixed_point import nearest_byte
from tvm_sparse.integer import Bytes
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, quantized
from tvm_sparse.relay_passes.emit_words import Words
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile
from tvm_sparse.words import BYTES


@dataclass(frozen=True, kw_only=True)
class Average:
    """Sums over windows, scaled to other bytes.

    Parameters
    ----------
    reads : tuple of variable
    window : Layer
        As a depthwise layer of channels.
    share : array of shape (Ho, Wo)
        One over the number of inputs that count.
    data, output : Bytes
    low, high : float
        Between which the average is clipped.
    """

    reads: tuple[relax.Var, ...]
    window: Layer
    share: npt.NDArray[np.float32]
    data: Bytes
    output: Bytes
    low: float
    high: float
    op: str = "conv2d"

    @classmethod
    def find(cls, uses: expr.Uses, var: relax.Var) -> Average | None:
        """Return the pooling that a quantize stores, whatever its shape after that."""
        output = quantized.meaning(uses, uses.values[var])
        below, low, high = quantized.before_clamps(uses, uses.values[var].args[0])
        while expr.op_name(uses.value(below)) == "relax.reshape":
            below = uses.value(below).args[0]
        pool = uses.value(below)
        found = _window(pool)
        data = None if found is None else quantized.source(uses, pool.args[0])
        if output is None or found is None or data is None:
            return None
        return cls(
            reads=(data[0],),
            window=found[0],
            share=found[1],
            data=data[1],
            output=output,
            low=low,
            high=high,
        )

    def emit(
        self, words: Words, var: relax.Var, call: Any, builder: relax.BlockBuilder, target: Target
    ) -> relax.Expr:
        """Emit average pooling of words."""
        batch, channels, *size = self.window.output[0], self.window.filters, *self.window.output[1:]
        number = -(-channels // BYTES)
        window = replace(self.window, weight=(number, 1, *self.window.kernel), groups=number)
        func = self._algorithm(window, target)
        share = self.share * np.float32(self.data.scale / self.output.scale)
        args = [words.known(self.reads[0], self.op), expr.const(share)]
        kind = relax.TensorType((batch, number, *size), "int32")
        pooled = builder.emit(emit.kernel_call(builder, func, "average_pool", args, kind))
        shape = expr.shape(call) or ()
        if shape == (batch, channels, *size):
            words.store(var, self.op, pooled)
        taken = words.unpacked(pooled, channels, str(call.ty.dtype), builder)
        return taken if shape == (batch, channels, *size) else relax.op.reshape(taken, shape)

    def _algorithm(self, window: Layer, target: Target) -> Any:
        """Return the kernel of a window of words, which has four sums where others have one."""
        best = kernel.by_channels(window, replace(target, registers=target.registers // BYTES))
        assert isinstance(best.tile, Tile) and best.plane is not None
        first, last = (nearest_byte(bound, self.output) for bound in (self.low, self.high))
        zero = self.output.zero
        bounds = (zero, first - zero, last - zero)
        zero, dot = self.data.zero, target.dot
        return word_averages.average(window, best.plane, best.tile, zero, bounds, dot)


def _window(pool: Any) -> tuple[Layer, npt.NDArray[np.float32]] | None:
    """Return a call's window, and one over the number of inputs that count, or None."""
    if expr.op_name(pool) == layers.POOLS[1]:
        window = layers.window_of(pool)
        return None if window is None else (window, layers.shares_of(pool, window))
    if not layers.is_global_mean(pool):
        return None
    batch, channels, height, width = shape = expr.shape(pool.args[0]) or ()
    window = Layer(
        op="conv2d",
        weight=(channels, 1, height, width),
        input=(batch, height, width),
        groups=channels,
    )
    return window, np.full((1, 1), 1 / math.prod(shape[2:]), np.float32)
