"""Import ONNX models."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend import onnx as tvm_onnx

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.bind import bind, layer_name
from tvm_sparse.frontend.onnx_dynamic import spell_dynamic
from tvm_sparse.frontend.onnx_few_bits import FewBits, spell_few_bits
from tvm_sparse.frontend.onnx_integers import check_bytes, spell_integers
from tvm_sparse.relay_passes import record


def load_onnx(
    path: Path, example_inputs: tuple[Any, ...] | None, masks: Mapping[str, Any] | None
) -> tvm.IRModule:
    """Return the model in an ONNX file as Relax."""
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker each have their own
        raise ModelError(f"cannot read {path}: {_first_line(error)}") from error
    return from_onnx(model, example_inputs, masks)


def from_onnx(
    model: onnx.ModelProto,
    example_inputs: tuple[Any, ...] | None,
    masks: Mapping[str, Any] | None,
) -> tvm.IRModule:
    """Return an ONNX model as Relax; see `tvm_sparse.frontend.import_model`."""
    model, few_bits = spell_few_bits(model)
    check_bytes(model)
    shapes, model = _input_shapes(model, example_inputs), spell_integers(spell_dynamic(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mod = tvm_onnx.from_onnx(model, shape_dict=shapes, keep_params_in_input=True)
        except (tvm.error.OpNotImplemented, NotImplementedError) as error:
            raise ModelError(f"TVM cannot import the model: {_first_line(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError, tvm.error.InternalError) as error:
            raise ModelError(f"TVM cannot import the model: {_first_line(error)}") from error
    mod, params = relax.frontend.detach_params(mod)
    tensors = params.get("main", [])
    variables = mod["main"].params[len(mod["main"].params) - len(tensors) :]
    values = {var.name: tensor.numpy() for var, tensor in zip(variables, tensors, strict=True)}
    names = _names(model, list(values))
    return _with_few_bits(bind(mod, values, names, masks), names, few_bits)


def _input_shapes(
    model: onnx.ModelProto, example_inputs: tuple[Any, ...] | None
) -> dict[str, list[int]] | None:
    if example_inputs is None:
        return None
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    if len(names) != len(example_inputs):
        raise ModelError(
            f"the model has {len(names)} inputs ({', '.join(names)}), "
            f"but example_inputs has {len(example_inputs)}"
        )
    return {name: list(np.shape(value)) for name, value in zip(names, example_inputs, strict=True)}


def _names(model: onnx.ModelProto, variables: list[str]) -> dict[str, str]:
    """Return what the user calls each parameter: its initializer, or the node that reads it.

    Exporters rename weights that they fold (``onnx::Conv_45``); the node still tells the layer.
    """
    readers = {name: node.name for node in model.graph.node for name in node.input[1:2]}
    for node in reversed(model.graph.node):  # who reads a quantized weight reads it dequantized
        if node.op_type in ("DequantizeLinear", "Transpose") and node.output[0] in readers:
            readers[node.input[0]] = readers[node.output[0]]
    named = {}
    for tensor in model.graph.initializer:
        folded = "::" in tensor.name or tensor.name.isdigit()
        node = readers.get(tensor.name, "").strip("/").removesuffix("/Conv").replace("/", ".")
        name = tensor.name.removesuffix("_quantized")
        named[_plain(tensor.name)] = node if folded and node else name
    return {variable: named.get(_plain(variable), variable) for variable in variables}


def _with_few_bits(mod: tvm.IRModule, names: dict[str, str], found: FewBits) -> tvm.IRModule:
    """Return the module with the precisions of its layers, and notes on those that have none."""
    called = {_plain(variable): layer_name(name) for variable, name in names.items()}
    known = {called[_plain(name)]: precision for name, precision in found.precisions.items()}
    layers = {name: known.get(name.split("#")[0]) for name in record.names(mod).values()}
    precisions = {name: one for name, one in layers.items() if one is not None}
    mod = record.with_precisions(mod, precisions) if precisions else mod
    notes = [f"{called[_plain(name)]}: {text}" for name, text in found.floats.items()]
    return functools.reduce(record.note, notes, mod)


def _plain(name: str) -> str:
    """Return a name as TVM's importer spells it, up to its choice of separators."""
    return re.sub(r"[^A-Za-z0-9]", "", name.removeprefix("onnx::"))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
