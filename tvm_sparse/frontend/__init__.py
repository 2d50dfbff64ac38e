"""Bring a user's model to Relax: weights as named constants, layers under their own names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvm_sparse.errors import ModelError

if TYPE_CHECKING:
    import tvm

__all__ = ["import_model"]


def import_model(
    model: Any,
    example_inputs: Any = None,
    masks: Mapping[str, Any] | None = None,
) -> tvm.IRModule:
    """Return a model as a Relax module whose weights are constants.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram, path, onnx.ModelProto or IRModule
        A path ends in ``.onnx`` or, for a saved exported program, ``.pt2``.
    example_inputs : tuple or list of tensors or arrays, or a single one, optional
        Needed for a torch module; fixes the dynamic shapes of an ONNX model.
    masks : mapping of str to array, optional
        By name of a parameter, or of its layer: where a mask is false or 0, the weight becomes 0.

    Raises
    ------
    ModelError
        If the model is of no known kind, cannot be imported, has dynamic shapes, NaN or infinite
        weights, or does not suit its masks.
    """
    inputs = _as_tuple(example_inputs)
    if isinstance(model, (str, Path)):
        return _from_path(Path(model), inputs, masks)
    kind = type(model)
    names = {f"{base.__module__.split('.')[0]}.{base.__name__}" for base in kind.__mro__}
    if names & {"torch.Module", "torch.ExportedProgram"}:
        from tvm_sparse.frontend.torch import from_torch

        return from_torch(model, inputs, masks)
    if "onnx.ModelProto" in names:
        from tvm_sparse.frontend.onnx import from_onnx

        return from_onnx(model, inputs, masks)
    if "tvm.IRModule" in names:
        from tvm_sparse.frontend.relax import from_relax

        return from_relax(model, masks)
    raise ModelError(
        "expected a torch.nn.Module, torch.export.ExportedProgram, ONNX model, Relax IRModule, or "
        f"the path of an .onnx or .pt2 file, got {kind.__module__}.{kind.__qualname__}"
    )


def _as_tuple(example_inputs: Any) -> tuple[Any, ...] | None:
    if example_inputs is None or isinstance(example_inputs, (tuple, list)):
        return None if example_inputs is None else tuple(example_inputs)
    return (example_inputs,)


def _from_path(path: Path, inputs: tuple[Any, ...] | None, masks: Any) -> tvm.IRModule:
    if path.suffix not in {".onnx", ".pt2"}:
        raise ModelError(f"cannot tell what {path} is: expected a file ending in .onnx or .pt2")
    if not path.is_file():
        raise ModelError(f"no such file: {path}")
    if path.suffix == ".onnx":
        from tvm_sparse.frontend.onnx import load_onnx

        return load_onnx(path, inputs, masks)
    from tvm_sparse.frontend.torch import load_program

    return load_program(path, masks)
