"""Carry the report, and layers' names and precisions, through the passes: as module attributes."""

from __future__ import annotations

import json

import tvm

from tvm_sparse.precision import Precision
from tvm_sparse.report import LayerReport, Report
from tvm_sparse.sixteen import BITS

_KEY = "tvm_sparse.report"
_NAMES = "tvm_sparse.names"
_PRECISIONS = "tvm_sparse.precisions"
_PAIRS = "tvm_sparse.pairs"


def names(mod: tvm.IRModule) -> dict[str, str]:
    """Return what the user calls the layer that a variable is bound to."""
    text = mod.attrs.get(_NAMES) if mod.attrs else None
    return {} if text is None else dict(json.loads(str(text)))


def with_names(mod: tvm.IRModule, named: dict[str, str]) -> tvm.IRModule:
    """Return the module with the user's names of its layers."""
    return mod.with_attr(_NAMES, json.dumps(named))


def precisions(mod: tvm.IRModule) -> dict[str, Precision]:
    """Return in which numbers layers are to be stored; layers that are not named, as floats."""
    text = mod.attrs.get(_PRECISIONS) if mod.attrs else None
    named = {} if text is None else json.loads(str(text))
    return {name: Precision.parse(value) for name, value in named.items()}


def sixteen(mod: tvm.IRModule) -> dict[str, str]:
    """Return which layers store their weights in sixteen bits, and in which."""
    known = precisions(mod)
    return {name: one.name for name, one in known.items() if one.bits == BITS}


def with_precisions(mod: tvm.IRModule, named: dict[str, Precision]) -> tvm.IRModule:
    """Return the module with the precisions of its layers."""
    texts = {name: str(value) for name, value in named.items()}
    return mod.with_attr(_PRECISIONS, json.dumps(texts))


def wants_pairs(mod: tvm.IRModule) -> bool:
    """Whether linear layers may be computed in bfloat16."""
    return bool(mod.attrs and mod.attrs.get(_PAIRS))


def with_pairs(mod: tvm.IRModule) -> tvm.IRModule:
    """Return the module, marked as one whose linear layers may be computed in bfloat16."""
    return mod.with_attr(_PAIRS, 1)


def read(mod: tvm.IRModule) -> Report:
    """Return the report that a module carries; an empty one if it carries none."""
    text = mod.attrs.get(_KEY) if mod.attrs else None
    return Report([]) if text is None else Report.from_json(str(text))


def write(mod: tvm.IRModule, report: Report) -> tvm.IRModule:
    """Return the module with a report."""
    return mod.with_attr(_KEY, report.to_json())


def add(mod: tvm.IRModule, rows: list[LayerReport]) -> tvm.IRModule:
    """Return the module with more rows; a row replaces an earlier one of the same name."""
    known = {row.name: row for row in [*read(mod).rows, *rows]}
    return write(mod, Report(list(known.values()), read(mod).notes))


def note(mod: tvm.IRModule, text: str) -> tvm.IRModule:
    """Return the module with one more remark in its report."""
    report = read(mod)
    return write(mod, Report(report.rows, [*report.notes, text]))
