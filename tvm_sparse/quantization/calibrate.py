"""Run a float model on sample inputs, and look at the tensors that shall be bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.building import compile_module
from tvm_sparse.quantization.ranges import Seen
from tvm_sparse.relay_passes import pipeline
from tvm_sparse.relay_passes.quantization_points import Points
from tvm_sparse.targets import Target

Array = npt.NDArray[Any]


def calibrate(
    mod: tvm.IRModule, points: Points, data: Sequence[Any], target: Target, histograms: bool
) -> dict[relax.Var, Seen]:
    """Return what was seen of each tensor that shall be bytes.

    Parameters
    ----------
    mod : IRModule
        In float, without dataflow blocks, so that any tensor of ``main`` can be returned.
    points : Points
    data : sequence of inputs
        Each an array, or a tuple of them, as the model takes it.
    target : Target
        What the model is run on.
    histograms : bool
        Whether values are counted, too, which takes a second run.
    """
    watched = list(points.tensors)
    params = list(mod["main"].params)
    inner = [var for var in watched if var not in params]
    seen = {var: Seen(points.axes[var]) for var in watched}
    run = _watching(mod, inner, target) if inner else lambda *inputs: ()
    for note in (Seen.extremes, Seen.count) if histograms else (Seen.extremes,):
        for item in data:
            inputs = [np.asarray(x) for x in (item if isinstance(item, (tuple, list)) else (item,))]
            values = dict(zip(inner, run(*inputs), strict=True))
            values |= {var: x for var, x in zip(params, inputs, strict=True) if var in seen}
            for var, value in values.items():
                note(seen[var], value)
    return seen


def _watching(mod: tvm.IRModule, watched: list[relax.Var], target: Target) -> Any:
    """Return a function of the model's inputs that returns the watched tensors."""
    main = mod["main"]
    body = relax.SeqExpr(main.body.blocks, relax.Tuple(watched))
    kinds = relax.TupleType([var.ty for var in watched])
    func = relax.Function(main.params, body, kinds).with_attr("global_symbol", "main")
    mod = tvm.IRModule({"main": func})
    passes = [
        relax.transform.ConvertToDataflow(),
        relax.transform.DeadCodeElimination(),
        pipeline.pipeline(target, sparse=False),
    ]
    return compile_module(mod, target, tvm.transform.Sequential(passes))
