"""Post-training quantization: a float model becomes one of bytes, by looking at sample inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

from tvm_sparse import precision, targets
from tvm_sparse.errors import FormatError, ModelError
from tvm_sparse.frontend import import_model
from tvm_sparse.precision import GROUP
from tvm_sparse.quantization import ranges
from tvm_sparse.quantization.calibrate import calibrate
from tvm_sparse.quantization.ranges import Rule
from tvm_sparse.quantization.weights import round_weights
from tvm_sparse.relay_passes import expr, insert_quantization, layers, pipeline, record
from tvm_sparse.relay_passes import quantization_points as tensors
from tvm_sparse.relay_passes.equalize_layers import EqualizeLayers
from tvm_sparse.relay_passes.insert_quantization import Array, Quantized
from tvm_sparse.relay_passes.quantization_points import Points
from tvm_sparse.relay_passes.remove_dead_channels import RemoveDeadChannels

__all__ = ["quantize"]

_BITS = 8


def quantize(
    model: Any,
    data: Sequence[Any] = (),
    bits: Any = _BITS,
    *,
    group: int = GROUP,
    example_inputs: Any = None,
    method: str = "minmax",
    symmetric: bool = False,
    correct_bias: bool = True,
    equalize: bool = False,
    skip: Collection[str] = (),
    masks: Mapping[str, Any] | None = None,
    target: Any = "x86",
) -> tvm.IRModule:
    """Quantize a model's convolutions and linear layers, pruned or not.

    Weights get a scale for each filter, and zeros stay zeros; activations get one scale and zero
    point each. Batch normalization is folded before.

    Parameters
    ----------
    model
        As `tvm_sparse.build` takes it, with float32 weights.
    data : sequence of inputs
        Samples of what the model will see: each an array or tensor, or a tuple of them for several
        inputs. All of one shape, that for which the model is compiled. Only 8 bits need them.
    bits : int, str, Precision, mapping of str to any of these, or Plan
        Of all layers, or by layer; layers that a mapping does not name stay as they are.
        8: weights and activations are bytes. Fewer bits of the weights alone, with activations in
        floats, are 4 (``"int4"``, or ``"power_of_two"`` with small bases as in
        `tvm_sparse.smartdeal`, for linear layers) and 16 (``"bfloat16"``, or ``"float16"``).
    group : int
        Input channels that share a scale of int4.
    example_inputs : tuple of tensors, optional
        As `tvm_sparse.build` takes them; by default the first of the data.
    method : {"minmax", "percentile", "mse"}
        Which values the bytes of an activation cover, see `tvm_sparse.quantization.ranges`.
    symmetric : bool
        Whether activations are signed bytes around zero.
    correct_bias : bool
        Whether to add to each filter the mean of what rounding its weights took away.
    equalize : bool
        Whether to give the channels between layers equal ranges before, see
        `tvm_sparse.relay_passes.equalize_layers`; of no use where ReLU6 stands between them.
    skip : collection of str
        Layers that stay in float.
    masks : mapping of str to array, optional
        As `tvm_sparse.build` takes them.
    target : str, path, Target or tvm.target.Target
        What the model is run on to look at its activations: this machine.

    Returns
    -------
    IRModule
        With ``R.quantize`` and ``R.dequantize`` around its layers, for `tvm_sparse.build`.

    Raises
    ------
    FormatError
        If bits or method are unknown, or there is no data where layers are to have 8 bits.
    ModelError
        If the model cannot be imported, a layer to skip or to quantize does not exist, or cannot
        have so many bits.

    Examples
    --------
    >>> compiled = build(quantize(model, samples))    # doctest: +SKIP
    """
    wanted = precision.by_layer(bits, group)
    if not data and precision.needs_samples(wanted):
        raise FormatError("quantize needs sample inputs to look at the activations; got none")
    rule = Rule(method=method, symmetric=symmetric)
    if data and example_inputs is None:
        example_inputs = tuple(data[0]) if isinstance(data[0], (tuple, list)) else (data[0],)
    mod = import_model(model, example_inputs, masks)
    before: list[Any] = [EqualizeLayers()] if equalize else []
    before += [RemoveDeadChannels()] if precision.has_groups(wanted) else []
    passes = [*pipeline.simplify(), *before, relax.transform.ToNonDataflow()]
    mod = tvm.transform.Sequential(passes)(mod)
    _check_names(skip, set(record.names(mod).values()))
    mod, others = round_weights(mod, wanted, skip)
    if not precision.needs_samples(wanted):
        return relax.transform.ConvertToDataflow()(mod)
    skip = {*skip, *others}
    uses, names = expr.Uses(mod["main"]), record.names(mod)
    points = tensors.find(uses, names, frozenset(skip))
    seen = calibrate(mod, points, data, targets.load_here(target), method != "minmax")
    bytes_ = {var: rule.bytes_of(seen[decides]) for var, decides in points.tensors.items()}
    weights = {var: ranges.weights(_weight(uses, points, var)) for var in points.layers}
    corrections = {}
    if correct_bias:
        means = {var: seen[var].means for var in seen}
        corrections = _corrections(uses, points, weights, means)
    mod = insert_quantization.insert(mod, points, bytes_, weights, corrections)
    for why in points.floats:
        mod = record.note(mod, why)
    return relax.transform.ConvertToDataflow()(mod)


def _check_names(skip: Collection[str], known: set[str]) -> None:
    for name in skip:
        if name not in known:
            some = ", ".join(sorted(known)[:8])
            raise ModelError(f"cannot skip {name!r}: there is no such layer; layers: {some}, …")


def _weight(uses: expr.Uses, points: Points, var: relax.Var) -> Array:
    """Return a layer's weight, filters first."""
    weight: Array = layers.weight_of(points.layers[var], uses.constant(uses.values[var].args[1]))
    return weight


def _corrections(
    uses: expr.Uses,
    points: Points,
    weights: Mapping[relax.Var, Quantized],
    means: Mapping[relax.Var, Array],
) -> dict[relax.Var, Array]:
    """Return what quantized weights lack of each filter's mean sum."""
    found: dict[relax.Var, Array] = {}
    for var, layer in points.layers.items():
        weight, read = _weight(uses, points, var), uses.values[var].args[0]
        steps, scale = weights[var]
        lost = weight - steps * scale.reshape(-1, *[1] * (weight.ndim - 1))
        each = means[read].reshape(layer.groups, 1, -1)
        by_channel = lost.reshape(layer.groups, -1, layer.weight[1], layer.taps // layer.weight[1])
        found[var] = (by_channel.sum(axis=3) * each).sum(axis=2).reshape(-1)
    return {var: value for var, value in found.items() if np.any(value)}
