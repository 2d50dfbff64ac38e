"""Weights in fewer bits, activations in floats: for layers that wait for their weights.

Weights are rounded to what their few bits can say, and the module notes the precision of each
layer; it remains one of floats. Kernels that store the few bits are made when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax

from tvm_sparse import nibbles, sixteen
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
        chosen = {name: wanted for name, layer in found.items() if _fits(layer, wanted)}
    else:
        _check(wanted, found)
        chosen = dict(wanted)
    names = record.names(mod)
    short = {name: v for name, v in chosen.items() if v.name in ROUND and name not in skip}

    def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
        named = {var: names.get(var.name, var.name) for var in uses.values}
        each = {var: _layer(uses, uses.values[var], name) for var, name in named.items()}
        return {v: _change(short[named[v]]) for v in each if each[v] and named[v] in short}

    others = {name for name in found if name not in chosen or chosen[name].name != "int8"}
    return record.with_precisions(expr.rebind(mod, changes), short) if short else mod, others


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


def _fits(layer: Layer, wanted: Precision) -> bool:
    return wanted.bits != nibbles.BITS or layer.op == "linear"


def _check(chosen: Mapping[str, Precision], found: Mapping[str, Layer]) -> None:
    for name, wanted in chosen.items():
        if name not in found:
            some = ", ".join(sorted(found)[:8])
            raise ModelError(f"cannot quantize {name!r}: there is no such layer; layers: {some}, …")
        if not _fits(found[name], wanted):
            raise ModelError(
                f"layer {name!r} cannot have weights of {wanted}: four bits are for linear layers; "
                "give it 8, 16 or 32 bits"
            )


def _change(wanted: Precision) -> expr.Change:
    def change(call: Any, builder: relax.BlockBuilder) -> Any:
        value: Any = expr.constant(builder, call.args[1])
        weight = value.T if expr.op_name(call) == layers.LINEAR else value
        rounded = ROUND[wanted.name](weight, wanted).astype(np.float32)
        rounded = rounded.T if expr.op_name(call) == layers.LINEAR else rounded
        return relax.Call(call.op, [call.args[0], expr.const(rounded)], call.attrs, call.ty_args)

    return change


ROUND: dict[str, Callable[[Weight, Precision], Weight]] = {
    "int4": lambda weight, wanted: nibbles.integers(weight, wanted.group).dense(),
    "bfloat16": lambda weight, wanted: sixteen.rounded(weight, wanted.name),
    "float16": lambda weight, wanted: sixteen.rounded(weight, wanted.name),
}
