"""Look into Relax modules, and run them without any of our passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import ir, relax

from tvm_sparse.relay_passes import expr


def ops(mod: tvm.IRModule) -> list[str]:
    """The operators of ``main`` in order; TIR calls by the name of their function."""
    found = []
    for value in expr.Uses(mod["main"]).values.values():
        name = expr.op_name(value).removeprefix("relax.")
        if name == "call_tir":
            name = f"tir:{value.args[0].name_hint}"
        if name:
            found.append(name)
    return found


def apply(transform: Any, mod: tvm.IRModule) -> tvm.IRModule:
    """The module after a pass."""
    return tvm.transform.Sequential([transform])(mod)


def constants(mod: tvm.IRModule) -> list[npt.NDArray[Any]]:
    """The constants that the operators of ``main`` read, in order."""
    found: list[npt.NDArray[Any]] = []

    def look(node: Any) -> None:
        if isinstance(node, ir.GenericConst):
            found.append(node.value.numpy())
        elif isinstance(node, relax.Call | relax.Tuple):
            for child in node.args if isinstance(node, relax.Call) else node.fields:
                look(child)

    for value in expr.Uses(mod["main"]).values.values():
        look(value)
    return found


def run(mod: tvm.IRModule, *inputs: npt.NDArray[Any]) -> Any:
    """Compile with TVM's own default pipeline and run."""
    executable = tvm.compile(mod, target=tvm.target.Target({"kind": "llvm"}))
    outputs = relax.VirtualMachine(executable, tvm.cpu())["main"](
        *[tvm.runtime.tensor(np.asarray(x)) for x in inputs]
    )
    return outputs.numpy() if hasattr(outputs, "numpy") else [o.numpy() for o in outputs]
