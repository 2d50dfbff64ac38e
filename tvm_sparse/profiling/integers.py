"""Layers as int8, to measure them and to predict their times: the numbers are made up.

How long an integer kernel takes depends on its zeros, and not on what its bytes stand for. So
weights are rounded, and every tensor that can be bytes is, with one scale for all of them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse import integer_choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, insert_quantization, layers, quantization_points, record
from tvm_sparse.targets import Target

BITS = 8
_BYTES = Bytes(scale=1 / 32, zero=0)
_MOST = 127


def quantized(mod: tvm.IRModule, skip: Collection[str] = ()) -> tvm.IRModule:
    """Return a simplified module whose layers are int8, all that can be but those to skip.

    Before::

        y = R.nn.conv2d(x, w, ...)

    After::

        y = R.nn.conv2d(R.dequantize(R.quantize(x, …), …), R.dequantize(steps of w, …), ...)
    """
    mod = relax.transform.ToNonDataflow()(mod)
    uses = expr.Uses(mod["main"])
    points = quantization_points.find(uses, record.names(mod), frozenset(skip))
    weights = {}
    for var, layer in points.layers.items():
        value = uses.constant(uses.values[var].args[1])
        assert value is not None  # or it were no point
        weights[var] = _steps(layers.weight_of(layer, value))
    given = dict.fromkeys(points.tensors, _BYTES)
    mod = insert_quantization.insert(mod, points, given, weights, {})
    return relax.transform.ConvertToDataflow()(mod)


def choose(layer: Layer, weight: Weight, target: Target) -> IntegerChoice:
    """Decide how a layer would be computed as int8, its output being bytes too."""
    steps, scale = _steps(weight)
    numbers = Integers(
        weight=steps, scale=scale, bias=np.zeros(len(steps)), data=_BYTES, output=_BYTES
    )
    return integer_choice.choose(numbers, layer, target)


def _steps(weight: Weight) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return weights as signed bytes, and a scale for each filter; only zeros become zeros."""
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1, initial=1e-3)
    scale = (largest / _MOST).astype(np.float32)
    steps = np.abs(weight) / scale.reshape(-1, *[1] * (weight.ndim - 1))
    whole = np.clip(np.rint(steps), weight != 0, _MOST)
    return (np.sign(weight) * whole).astype(np.int8), scale
