"""The weights of an imported model, whatever it was imported from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm

from tvm_sparse.formats.protocol import Weight
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes import expr, layers, pipeline, record


def weights(model: Any, example_inputs: Any = None) -> dict[str, Weight]:
    """Return the weights of a model's layers by name, filters first.

    Raises
    ------
    ModelError
        If the model cannot be imported.
    """
    mod, found = import_model(model, example_inputs, None), {}
    mod = tvm.transform.Sequential(pipeline.simplify())(mod)
    uses, names = expr.Uses(mod["main"]), record.names(mod)
    for var, call in uses.values.items():
        if expr.op_name(call) in (layers.CONV, layers.LINEAR):
            value = uses.constant(call.args[1])
            layer = layers.layer_of(call, value, names.get(var.name, var.name))
            if not isinstance(layer, str):
                found[layer.name] = np.ascontiguousarray(layers.weight_of(layer, value))
    return found


def fingerprint(known: Mapping[str, Weight]) -> str:
    """Return a short name of weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(known.items()):
        digest.update(name.encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()[:16]
