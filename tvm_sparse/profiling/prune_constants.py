"""Give layers of a module weights with the zeros of a scheme.

Before::

    y = R.nn.conv2d(x, w, ...)

After::

    y = R.nn.conv2d(x, pruned, ...)        # random numbers, zeros as the format's mask leaves them,
                                           # rounded if the scheme has 16 or 4 bits
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

from tvm_sparse import formats, short_weights
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision
from tvm_sparse.relay_passes import expr, layers, record
from tvm_sparse.scheme import Scheme


def found_layers(mod: tvm.IRModule) -> list[Layer]:
    """Return the layers of a simplified module, in execution order."""
    found: list[Layer] = []

    def note(layer: Layer) -> None:
        found.append(layer)

    prune_constants(mod, note)
    return found


def prune_constants(mod: tvm.IRModule, wanted: Callable[[Layer], Scheme | None]) -> tvm.IRModule:
    """Return a simplified module whose layers have new weights.

    Parameters
    ----------
    mod : IRModule
        As `tvm_sparse.relay_passes.pipeline.simplify` leaves it.
    wanted : callable
        Takes each layer in turn and returns its scheme; None leaves its weight as it is.
    """
    names = record.names(mod)
    return expr.rebind(mod, lambda uses: _changes(uses, names, wanted))


def weight(layer: Layer, scheme: Scheme) -> Weight:
    """Return random weights of a layer, always the same, with the zeros of a scheme.

    They keep activations of order one, whatever the density. Of 16 or 4 bits, they are rounded.
    """
    seed = zlib.crc32(f"{layer.key} {scheme} {layer.name}".encode())
    rng = np.random.default_rng(seed)
    size = 1 / np.sqrt(layer.taps * scheme.density)
    drawn = (rng.standard_normal(layer.weight, np.float32) * np.float32(size)).astype(np.float32)
    if scheme.format != "dense":
        kept = formats.get(scheme.format).mask(np.abs(drawn), scheme.density, scheme.block)
        drawn = np.where(kept, drawn, np.float32(0))
    return short_weights.rounded(drawn, Precision.parse(scheme))


def _changes(
    uses: expr.Uses, names: dict[str, str], wanted: Callable[[Layer], Scheme | None]
) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
            continue
        value = uses.constant(call.args[1])
        layer = layers.layer_of(call, value, names.get(var.name, var.name))
        scheme = None if isinstance(layer, str) else wanted(layer)
        if scheme is not None and not isinstance(layer, str):
            drawn = weight(layer, scheme)
            drawn = drawn.T if layer.op == "linear" else drawn
            changes[var] = functools.partial(_replace, value=drawn)
    return changes


def _replace(call: relax.Call, builder: relax.BlockBuilder, value: Weight) -> relax.Expr:
    return relax.Call(call.op, [call.args[0], expr.const(value)], call.attrs, call.ty_args)
