"""Weights in fewer bits, activations in floats: for layers that wait for their weights.

Weights are rounded to what their few bits can say, and the module notes the precision of each
layer; it remains one of floats. Kernels that store the few bits are made when it is built.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

import tvm
from tvm import relax

from tvm_sparse import short_weights, smartdeal
from tvm_sparse.errors import ModelError
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision
from tvm_sparse.relay_passes import expr, layers, record

Wanted = Precision | Mapping[str, Precision]


def round_weights(
    mod: tvm.IRModule, wanted: Wanted, skip: Collection[str] = ()
) -> tuple[tvm.IRModule, set[str]]:
    """Round the layers that keep activations in floats, and note their precisions.

    ::

        y = R.matmul(x, w)    →    y = R.matmul(x, rounded w)

    Parameters
    ----------
    mod : IRModule
        Whose weights are constants.
    wanted : Precision or mapping of str to Precision
        Of all layers, or of the named ones. Where all are to have 4 bits, convolutions stay floats.
    skip : collection of str
        Layers that stay as they are.

    Returns
    -------
    (IRModule, set of str)
        And the layers that are not to have 8 bits.

    Raises
    ------
    ModelError
        If a named layer does not exist, or is none that can have so many bits.
    """
    found = _layers(mod)
    if isinstance(wanted, Precision):
        chosen = {
            name: wanted for name, layer in found.items() if short_weights.fits(layer, wanted.bits)
        }
    else:
        _check(wanted, found)
        chosen = dict(wanted)
    names = record.names(mod)
    short = {n: v for n, v in chosen.items() if v.bits in short_weights.BITS and n not in skip}
    notes: list[str] = []

    def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
        named = {var: names.get(var.name, var.name) for var in uses.values}
        each = {var: _layer(uses, uses.values[var], name) for var, name in named.items()}
        return {
            var: _change(layer, short[layer.name], notes)
            for var, layer in each.items()
            if layer is not None and layer.name in short
        }

    others = {name for name in found if name not in chosen or chosen[name].name != "int8"}
    if not short:
        return mod, others
    mod = record.with_precisions(expr.rebind(mod, changes), short)
    return functools.reduce(record.note, notes, mod), others


def _layers(mod: tvm.IRModule) -> dict[str, Layer]:
    """Return the layers of a module's ``main`` whose weights are constants, by name."""
    uses, names = expr.Uses(mod["main"]), record.names(mod)
    found = {}
    for var, call in uses.values.items():
        name = names.get(var.name, var.name)
        layer = _layer(uses, call, name)
        if layer is not None:
            found[name] = layer
    return found


def _layer(uses: expr.Uses, call: Any, name: str) -> Layer | None:
    if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
        return None
    layer = layers.layer_of(call, uses.constant(call.args[1]), name)
    return layer if isinstance(layer, Layer) else None


def _check(chosen: Mapping[str, Precision], found: Mapping[str, Layer]) -> None:
    for name, wanted in chosen.items():
        if name not in found:
            some = ", ".join(sorted(found)[:8])
            raise ModelError(f"cannot quantize {name!r}: there is no such layer; layers: {some}, …")
        if not short_weights.fits(found[name], wanted.bits):
            raise ModelError(
                f"layer {name!r} cannot have weights of {wanted}: four bits are for linear layers; "
                "give it 8, 16 or 32 bits"
            )


def _change(layer: Layer, wanted: Precision, notes: list[str]) -> expr.Change:
    """Return the change of a layer; what is worth knowing of it is added to the notes."""

    def change(call: Any, builder: relax.BlockBuilder) -> Any:
        weight = layers.weight_of(layer, expr.constant(builder, call.args[1]))
        x = call.args[0]
        if wanted.name == "power_of_two":
            deal = smartdeal.decompose(weight)
            notes.append(_note(layer, deal, weight))
            x, rounded = _based(x, deal.basis, builder), deal.coefficients
        else:
            rounded = short_weights.rounded(weight, wanted)
        value = expr.const(rounded.T if layer.op == "linear" else rounded)
        return relax.Call(call.op, [x, value], call.attrs, call.ty_args)

    return change


def _based(x: relax.Expr, basis: Weight, builder: relax.BlockBuilder) -> relax.Expr:
    """Emit the bases of a layer's slices, applied to its input.

    ::

        (…, C) → (…, slices, 1, S) · (slices, S, S) → sum over the last → (…, C)
    """
    shape = expr.shape(x)
    assert shape is not None  # or it were no layer of ours
    number, size, _ = basis.shape
    x = builder.emit(relax.op.reshape(x, (*shape[:-1], number, 1, size)))
    products = builder.emit(relax.op.multiply(x, expr.const(basis)))
    return builder.emit(relax.op.reshape(builder.emit(relax.op.sum(products, -1)), shape))


def _note(layer: Layer, deal: smartdeal.Deal, weight: Weight) -> str:
    number, size, _ = deal.basis.shape
    return (
        f"{layer.name}: powers of two times {number} bases of {size} × {size}, "
        f"{deal.basis.nbytes / 1024:.1f} KiB; {deal.error(weight):.1%} of the weights are lost"
    )
