"""Import PyTorch modules, through `torch.export`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import tvm
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend import torch_quantized_programs as quantized_programs
from tvm_sparse.frontend.bind import bind
from tvm_sparse.frontend.torch_quantized_modules import is_quantized, spell_modules


def from_torch(
    model: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: tuple[Any, ...] | None,
    masks: Mapping[str, Any] | None,
) -> tvm.IRModule:
    """Return a module or exported program as Relax; see `tvm_sparse.frontend.import_model`."""
    if isinstance(model, torch.export.ExportedProgram):
        program = model
    else:
        program = _export(model, example_inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mod = from_exported_program(
                program,
                keep_params_as_input=True,
                unwrap_unit_return_tuple=True,
                custom_convert_map=quantized_programs.converters(program),
            )
        except (AssertionError, NotImplementedError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"TVM cannot import the model: {_first_line(error)}; {_remedy(program)}"
            ) from error
    mod, params = relax.frontend.detach_params(mod)
    tensors = params.get("main", [])
    variables = mod["main"].params[len(mod["main"].params) - len(tensors) :]
    values = {var.name: tensor.numpy() for var, tensor in zip(variables, tensors, strict=True)}
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    names |= quantized_programs.weight_names(program)
    return bind(mod, values, names, masks)


def load_program(path: Path, masks: Mapping[str, Any] | None) -> tvm.IRModule:
    """Return the exported program that `torch.export.save` wrote as Relax."""
    try:
        quantized_programs.register()
        program = torch.export.load(str(path))
    except Exception as error:  # torch raises whatever the damaged archive leads it to
        raise ModelError(
            f"cannot read {path}: {_first_line(error)}; expected a file of torch.export.save"
        ) from error
    return from_torch(program, None, masks)


def _export(model: torch.nn.Module, example_inputs: tuple[Any, ...] | None) -> Any:
    if example_inputs is None:
        raise ModelError("a torch module needs example_inputs=(tensor, …) to fix its input shapes")
    tensors = tuple(
        x if isinstance(x, torch.Tensor) else torch.as_tensor(x) for x in example_inputs
    )
    training = model.training
    model.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if is_quantized(model):
                model = spell_modules(model, tensors)
            return torch.export.export(model, tensors)
    except ModelError:
        raise
    except Exception as error:  # whatever the model's own code raises
        raise ModelError(f"torch.export cannot trace the model: {_first_line(error)}") from error
    finally:
        model.train(training)


def _remedy(program: torch.export.ExportedProgram) -> str:
    tensors = [*program.state_dict.values(), *program.constants.values()]
    kinds = {str(t.dtype) for t in tensors if isinstance(t, torch.Tensor) and t.is_floating_point()}
    if others := sorted(kinds - {"torch.float32"}):
        return f"it holds {', '.join(others)}: make it float32 first, with model.float()"
    return "replace the operator, or compile the part of the model before it"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
