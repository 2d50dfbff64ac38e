"""Compile a model: import, find its sparsity, lower, generate code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import tvm
from tvm import relax

from tvm_sparse import targets
from tvm_sparse.artifact import Description, TensorInfo
from tvm_sparse.compiled import Compiled
from tvm_sparse.errors import ModelError, TargetError
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes import code_generation, expr, gpu_pipeline, pipeline, record
from tvm_sparse.relay_passes.lower_pairs import has_pairs
from tvm_sparse.relay_passes.measure_footprint import measure_footprint
from tvm_sparse.targets import Target
from tvm_sparse.tuning import packaged
from tvm_sparse.tuning.decide import Decisions, tuned


def build(
    model: Any,
    target: Any = "x86",
    *,
    example_inputs: Any = None,
    masks: Mapping[str, Any] | None = None,
    sparse: bool = True,
    database: str | Path | Literal[False] | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    progress: Callable[[str], None] | None = None,
) -> Compiled:
    """Compile a model whose weights contain zeros.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram, ONNX path or proto, Relax IRModule
    target : str, path, Target or tvm.target.Target
        A packaged profile (``"x86"`` is this machine), the path of a TOML profile, or a target.
    example_inputs : tuple of tensors, optional
        Needed for a torch module; fixes the dynamic shapes of an ONNX model.
    masks : mapping of str to array, optional
        By layer: weights where a mask is 0 become 0. Without masks, the zeros in the weights count.
    sparse : bool
        Whether to use the zeros at all; ``False`` gives the dense model, for comparison.
    database : path or False, optional
        A folder that `tvm_sparse.tune` wrote: layers that it knows get the kernels that were
        measured to be fastest. Others, and all by default, get those of the records that come with
        this package, where these were measured on CPUs like this one. ``False``: measured records
        are not used.
    dtype : {"float32", "float16", "bfloat16"}
        What layers compute in; ``"float16"`` where the target multiplies and adds halves (rpi5),
        then with kernels that the cost formula chooses; ``"bfloat16"`` on x86 with AVX512-BF16,
        for those linear layers that are faster so, with sums in float32. Inputs and outputs stay
        as they are.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    Compiled
        Its results equal the dense model's on the same weights.

    Raises
    ------
    ModelError
        If the model cannot be imported or compiled.
    TargetError
        If the target is unknown or invalid.
    DatabaseError
        If the database is none.

    Examples
    --------
    >>> compiled = build(model, example_inputs=(x,))    # doctest: +SKIP
    >>> y = compiled(x)                                 # doctest: +SKIP
    """
    tell = progress or (lambda stage: None)
    profile = targets.load(target)
    halves = _in_halves(dtype, profile)
    tell("importing")
    mod = import_model(model, example_inputs, masks)
    mod = record.with_pairs(mod) if dtype == "bfloat16" else mod
    known = None if halves or database is False else tuned(database, profile, sparse)
    remark = "" if known is None else packaged.remark(profile)
    mod = record.note(mod, remark) if remark else mod
    return compile_module(mod, profile, _passes(profile, sparse, known, halves), tell)


def _passes(
    profile: Target, sparse: bool, known: Decisions | None, halves: bool
) -> tvm.transform.Pass:
    """Return the whole pipeline of a target; `known` is what was measured."""
    if profile.is_gpu:
        decide = None if known is None else known.layers
        return gpu_pipeline.pipeline_of(profile, sparse, decide, halves)
    if known is None:
        return pipeline.pipeline(profile, sparse, halves=halves)
    return pipeline.pipeline(
        profile,
        sparse,
        known.layers,
        decide_integers=known.integers,
        decide_nibbles=known.nibbles,
    )


def _in_halves(dtype: str, profile: Target) -> bool:
    if dtype == "float32":
        return False
    if dtype == "bfloat16":
        return _in_pairs(profile)
    if dtype != "float16":
        raise ModelError(f"unknown dtype {dtype!r}: expected 'float32', 'float16' or 'bfloat16'")
    if not profile.has_halves:
        raise TargetError(
            f"target {profile.name!r} does not multiply and add halves: build in float32, or for a "
            "CPU that does, e.g. rpi5 (a profile's mattr says +fullfp16), or a GPU that does "
            "(supports_float16 and supports_16bit_buffer)"
        )
    return True


def _in_pairs(profile: Target) -> bool:
    """Return that nothing is halved, if the target multiplies pairs of bfloat16."""
    if not has_pairs(profile.to_tvm()):
        raise TargetError(
            f"target {profile.name!r} does not multiply bfloat16: build in float32, or for x86 "
            "with AVX512-BF16; ts.quantize(model, bits='bfloat16') stores weights so anywhere"
        )
    return False


def compile_module(
    mod: tvm.IRModule,
    profile: Target,
    passes: tvm.transform.Pass,
    progress: Callable[[str], None] = lambda stage: None,
) -> Compiled:
    """Compile an imported model.

    Parameters
    ----------
    mod : IRModule
        Its ``main`` takes and returns tensors of fixed shapes.
    profile : Target
    passes : Pass
        From the imported model to a module ready for code generation, e.g. `pipeline.pipeline`.
    progress : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    ModelError
        If an input is no tensor of fixed shape.
    """
    progress("finding sparsity")
    main = mod["main"]
    mod = passes(mod)
    progress("generating code")
    lowering = gpu_pipeline.LOWERING if profile.is_gpu else code_generation.NAME
    executable = tvm.compile(mod, profile.to_tvm(), relax_pipeline=None, tir_pipeline=lowering)
    report = record.read(mod)
    report.footprint = measure_footprint(mod, profile.cores)
    description = Description(
        version=version("tvm_sparse"),
        tvm_version=str(tvm.__version__),
        target=profile.name,
        needs=profile.needs,
        inputs=tuple(_info(param, param.name) for param in main.params),
        outputs=tuple(_outputs(main.ret_ty)),
        report=report.to_json(),
        triple=profile.triple,
        device=str(profile.tvm["kind"]) if profile.is_gpu else "cpu",
        cores=profile.cores,
    )
    return Compiled(executable, description, mod)


def _info(value: Any, name: str) -> TensorInfo:
    shape = expr.shape(value)
    if shape is None:
        raise ModelError(f"{name} has the type {value.ty}; expected a tensor of fixed shape")
    return TensorInfo(name=name, shape=shape, dtype=str(value.ty.dtype))


def _outputs(kind: Any, prefix: str = "output") -> list[TensorInfo]:
    if isinstance(kind, relax.TensorType):
        shape = tuple(int(size) for size in kind.shape.values)
        return [TensorInfo(name=prefix, shape=shape, dtype=str(kind.dtype))]
    fields = getattr(kind, "fields", [])
    return [info for i, field in enumerate(fields) for info in _outputs(field, f"{prefix}{i}")]
