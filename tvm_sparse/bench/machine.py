"""The machine that numbers were taken on, and what its cores can do at most."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import tvm

from tvm_sparse import implement, kernel
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target, native


def describe() -> dict[str, str]:
    """Return CPU, cores, operating system and versions."""
    return {
        "cpu": native.cpu_name(),
        "cores": str(native.cores()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "tvm": str(tvm.__version__),
        "tvm_sparse": version("tvm_sparse"),
    }


def footer(against: str = "") -> list[str]:
    """Return what a table says of the machine, and of how times were taken.

    Parameters
    ----------
    against : str
        Names and versions of the other engines.
    """
    about = describe()
    machine = f"Machine: {about['cpu']}, {about['cores']} cores, {about['system']}"
    software = f"TVM {about['tvm']}, tvm_sparse {about['tvm_sparse']}"
    return [
        f"{machine}; {software}{'; ' * bool(against)}{against}.",
        "Median over rounds in which each ran in turn; ± is half the interquartile range.",
    ]


def peak_kernel(target: Target, threads: int) -> tuple[Callable[[], object], float]:
    """Return a dense fp32 product that stays in L1 and registers, and its multiply-adds × 2.

    Its rate is the dense peak that fractions refer to: nothing but the multiply-adds limits it.
    """
    rows, channels, filters = 768 * threads, 192, 3 * target.lanes
    layer = Layer(op="linear", weight=(filters, channels), input=(rows,))
    best = kernel.dense_panel(layer, target, filters, rows=8 if target.registers > 16 else 4)
    weight = np.full(layer.weight, 0.01, np.float32)
    bound = implement.dense(layer, best, weight)
    func = bound.func.with_attr("global_symbol", "main")
    scheduling = tvm.transform.Sequential([ScheduleFunctions(target)])
    mod = scheduling(tvm.IRModule({"main": func}))
    run = tvm.compile(mod, target.to_tvm(), tir_pipeline=code_generation.NAME)["main"]
    x = np.full((rows, channels), 0.01, np.float32)
    y = np.zeros((rows, filters), np.float32)
    args = [tvm.runtime.tensor(array) for array in (x, *bound.constants, y)]
    return lambda: run(*args), 2.0 * layer.macs
