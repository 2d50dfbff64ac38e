"""A plan as C tables, which the files in ``c`` run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tvm_sparse.artifact import Description, TensorInfo
from tvm_sparse.program.plan import ALIGNMENT, Places, Plan, Tensor

_CODES = {"float": "kDLFloat", "int": "kDLInt", "uint": "kDLUInt", "bool": "kDLBool"}
_CONSTANTS = """\
.section .rodata
.balign {alignment}
.globl constants
constants:
.incbin {path}
.section .note.GNU-stack, "", %progbits
"""


def tables(plan: Plan, places: Places, about: Description) -> str:
    """Return the C text that describes a model.

    Parameters
    ----------
    plan : Plan
    places : Places
        Of the plan's tensors.
    about : Description
        Whose names the inputs and outputs get.
    """
    numbers = {tensor: i for i, tensor in enumerate(plan.tensors)}
    kernels = dict.fromkeys(call.kernel for call in plan.calls)
    return "\n".join(
        [
            '#include "program.h"\n',
            *(f"kernel_function {_symbol(kernel)};" for kernel in kernels),
            *_tensors(plan.tensors, places),
            *_calls(plan, numbers),
            _ends("inputs", about.inputs, plan.inputs, numbers),
            _ends("outputs", about.outputs, plan.outputs, numbers),
            _model(plan, places, about, len(numbers)),
        ]
    )


def constants(path: Path) -> str:
    """Return the assembler text that puts a file into the program as its constants."""
    return _CONSTANTS.format(alignment=ALIGNMENT, path=json.dumps(str(path)))


def write_constants(places: Places, path: Path) -> None:
    """Write the constants to a file, each at its place."""
    with path.open("wb") as file:
        for tensor, offset in places.offsets.items():
            if tensor.value is not None:
                file.seek(offset)
                file.write(np.ascontiguousarray(tensor.value).tobytes())
        file.truncate(max(places.constants, 1))


def _symbol(kernel: str) -> str:
    return f"__tvm_ffi_{kernel}"


def _tensors(tensors: Sequence[Tensor], places: Places) -> Iterable[str]:
    """Yield the table of tensors, and their shapes."""
    for i, tensor in enumerate(tensors):
        yield f"static const int64_t shape_{i}[] = {{{_row(tensor.shape) or '0'}}};"
    yield "static const struct tensor tensors[] = {"
    for i, tensor in enumerate(tensors):
        constant, offset = int(tensor.home.value is not None), places.offsets[tensor.home]
        fields = f"{_dtype(tensor.dtype)}, {len(tensor.shape)}, shape_{i}, {constant}, {offset}ull"
        yield f"  {{{fields}}},"
    yield "};"


def _dtype(name: str) -> str:
    kind = name.rstrip("0123456789")
    return f"{{{_CODES[kind]}, {name[len(kind) :] or 8}, 1}}"


def _calls(plan: Plan, numbers: dict[Tensor, int]) -> Iterable[str]:
    """Yield the table of calls, and what they are called with."""
    for i, call in enumerate(plan.calls):
        row = _row(numbers[tensor] for tensor in call.tensors)
        yield f"static const int32_t call_{i}[] = {{{row}}};"
    yield "static const struct call calls[] = {"
    for i, call in enumerate(plan.calls):
        name = json.dumps(call.kernel)
        yield f"  {{{name}, {_symbol(call.kernel)}, {len(call.tensors)}, call_{i}}},"
    yield "  {0}\n};"


def _ends(
    name: str, infos: Sequence[TensorInfo], tensors: Sequence[Tensor], numbers: dict[Tensor, int]
) -> str:
    """Return the table of inputs or outputs."""
    pairs = zip(infos, tensors, strict=True)
    rows = [f"{{{json.dumps(info.name)}, {numbers[tensor]}}}" for info, tensor in pairs]
    return f"static const struct end {name}[] = {{{', '.join(rows) or '{0}'}}};"


def _model(plan: Plan, places: Places, about: Description, tensors: int) -> str:
    fields = {
        "target": json.dumps(about.target),
        "needs": json.dumps(", ".join(about.needs)),
        "threads": about.cores,
        "memory": f"{places.memory}ull",
        "constants": f"{places.constants}ull",
        "tensors": "tensors",
        "tensor_count": tensors,
        "calls": "calls",
        "call_count": len(plan.calls),
        "inputs": "inputs",
        "input_count": len(plan.inputs),
        "outputs": "outputs",
        "output_count": len(plan.outputs),
    }
    lines = [f"  .{name} = {value}," for name, value in fields.items()]
    return "\n".join(["const struct model model = {", *lines, "};\n"])


def _row(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
