from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax, te

import tvm_sparse as ts
from support import kernels
from tvm_sparse.bench.layers import relax_layer
from tvm_sparse.errors import ModelError
from tvm_sparse.layer import Layer

LAYER = Layer(op="conv2d", weight=(16, 8, 3, 3), input=(2, 9, 9), padding=(1, 1, 1, 1))


def test_a_relax_module_builds_as_it_is() -> None:
    weight, x = kernels.weights(LAYER), kernels.inputs(LAYER)
    compiled = ts.build(relax_layer(LAYER, weight))
    kernels.assert_close(compiled(x), kernels.reference(LAYER, x, weight))


def test_tvms_own_entry_points_find_our_pipeline_after_a_plain_import() -> None:
    import subprocess
    import sys

    code = """
import tvm
from tvm import relax
import sys
pipeline = relax.get_pipeline("tvm_sparse")
assert "tvm_sparse.relay_passes.pipeline" in sys.modules
print(pipeline.info.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.strip() == "tvm_sparse"


def test_tvm_compile_runs_our_pipeline() -> None:
    weight, x = kernels.weights(LAYER), kernels.inputs(LAYER)
    weight[:, 2:] = 0
    target = ts.targets.load("x86").to_tvm() if hasattr(ts, "targets") else None
    executable = tvm.compile(
        relax_layer(LAYER, weight),
        target=target or tvm.target.Target({"kind": "llvm", "num-cores": 1}),
        relax_pipeline=relax.get_pipeline("tvm_sparse"),
    )
    machine = relax.VirtualMachine(executable, tvm.cpu())
    y = machine["main"](tvm.runtime.tensor(x)).numpy()
    kernels.assert_close(y, kernels.reference(LAYER, x, weight))


def test_constants_that_are_no_numbers_are_refused() -> None:
    weight = kernels.weights(LAYER)
    weight[0] = np.inf
    with pytest.raises(ModelError, match="NaN or infinite"):
        ts.build(relax_layer(LAYER, weight))


def test_modules_without_a_main_function_are_refused() -> None:
    with pytest.raises(ModelError, match='function "main"'):
        ts.build(tvm.IRModule({}))
    data = te.placeholder((4,), name="data")
    func = te.create_prim_func([data, te.compute((4,), lambda i: data[i] + 1)])
    with pytest.raises(ModelError, match="Relax function"):
        ts.build(tvm.IRModule({"main": func}))
