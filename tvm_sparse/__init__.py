"""Compile pruned and quantized networks to code that is as fast as their zeros promise.

>>> import tvm_sparse as ts
>>> compiled = ts.build(model, target="x86", example_inputs=(x,))   # doctest: +SKIP
>>> y = compiled(x)                                                 # doctest: +SKIP
>>> compiled.export("model.so")                                     # doctest: +SKIP

Importing this package loads neither torch nor TVM; the verbs do, when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm_sparse.building import build as build
    from tvm_sparse.compiled import Compiled as Compiled
    from tvm_sparse.compiled import load as load
    from tvm_sparse.compiled import set_threads as set_threads
    from tvm_sparse.latency import LatencyTable as LatencyTable
    from tvm_sparse.layer import Layer as Layer
    from tvm_sparse.planning.plan import Plan as Plan
    from tvm_sparse.planning.planner import plan as plan
    from tvm_sparse.profiling.profile import profile as profile
    from tvm_sparse.pruning import prune as prune
    from tvm_sparse.quantization import quantize as quantize
    from tvm_sparse.report import Report as Report
    from tvm_sparse.scheme import Scheme as Scheme
    from tvm_sparse.targets import Target as Target
    from tvm_sparse.tuning.tune import tune as tune

_HOMES = {
    "build": "tvm_sparse.building",
    "load": "tvm_sparse.compiled",
    "plan": "tvm_sparse.planning.planner",
    "profile": "tvm_sparse.profiling.profile",
    "prune": "tvm_sparse.pruning",
    "quantize": "tvm_sparse.quantization",
    "set_threads": "tvm_sparse.compiled",
    "tune": "tvm_sparse.tuning.tune",
    "Compiled": "tvm_sparse.compiled",
    "LatencyTable": "tvm_sparse.latency",
    "Layer": "tvm_sparse.layer",
    "Plan": "tvm_sparse.planning.plan",
    "Report": "tvm_sparse.report",
    "Scheme": "tvm_sparse.scheme",
    "Target": "tvm_sparse.targets",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a verb's module when the verb is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tvm_sparse' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
