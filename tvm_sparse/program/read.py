"""Read from a lowered module which kernels its main function calls, and on what.

``main`` is a straight line by then::

    storage = R.vm.alloc_storage(R.shape([4096]), …)
    a = R.vm.alloc_tensor(storage, 0, R.shape([16, 64]), …)
    conv2d_relu(x, weights, a)                   # Call("conv2d_relu", (x, weights, a))
    b = R.call_packed("vm.builtin.reshape", a, R.shape([1024]))   # a view
    R.vm.kill_object(storage)
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, relax, tirx

from tvm_sparse import compat
from tvm_sparse.errors import ModelError
from tvm_sparse.program.plan import Call, Plan, Tensor
from tvm_sparse.relay_passes import expr

_TENSOR = "relax.vm.alloc_tensor"
_VIEW = "vm.builtin.reshape"
# Memory is planned anew, and shapes are known.
_SKIPPED = (
    "relax.vm.alloc_storage",
    "relax.vm.kill_object",
    "relax.null_value",
    "vm.builtin.check_",
    "vm.builtin.match_",
)
_DTYPES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_DTYPES |= {"float16", "float32", "float64", "bool"}

Value = Tensor | tuple["Value", ...] | None


def read(mod: tvm.IRModule) -> Plan:
    """Return what a module's ``main`` does.

    Parameters
    ----------
    mod : IRModule
        As the pipeline leaves it.

    Raises
    ------
    ModelError
        If there is anything that is no kernel, no view and no tensor of fixed shape: the message
        names it.
    """
    reader = _Reader(mod)
    main = mod["main"]
    inputs = [reader.declare(param) for param in main.params]
    for block in main.body.blocks:
        for binding in block.bindings:
            reader.bind(binding)
    outputs = _flat(reader.value(main.body.body))
    return Plan(calls=tuple(reader.calls), inputs=tuple(inputs), outputs=tuple(outputs))


class _Reader:
    """What variables stand for, and the calls so far."""

    def __init__(self, mod: tvm.IRModule) -> None:
        self.mod = mod
        self.calls: list[Call] = []
        self._values: dict[Any, Value] = {}

    def declare(self, var: relax.Var) -> Tensor:
        """Return a new tensor for a variable."""
        tensor = _tensor(var, var.name)
        self._values[var] = tensor
        return tensor

    def bind(self, binding: Any) -> None:
        """Note what a variable is bound to."""
        self._values[binding.var] = self.value(binding.value, binding.var)

    def value(self, node: Any, var: Any = None) -> Value:
        """Return what an expression stands for."""
        if isinstance(node, relax.Call):
            return self._call(node, var)
        if isinstance(node, relax.Tuple):
            return tuple(self.value(field) for field in node.fields)
        if isinstance(node, relax.TupleGetItem):
            fields = self.value(node.tuple_value)
            return fields[node.index] if isinstance(fields, tuple) else None
        if isinstance(node, relax.If):
            raise _no_kernel("a branch on a value")
        is_tensor = isinstance(node, ir.GenericConst) and isinstance(node.ty, relax.TensorType)
        if is_tensor and node not in self._values:
            self._values[node] = _tensor(node, "a constant", node.value.numpy())
        return self._values.get(node)

    def _call(self, call: Any, var: Any) -> Value:
        name = expr.op_name(call)
        if isinstance(call.op, relax.ExternFunc):
            name = str(call.op.global_symbol)
        if name == _TENSOR:
            return _tensor(var, f"the tensor {var.name}")
        if name == _VIEW:
            base = self.value(call.args[0])
            return _tensor(var, name, base=base if isinstance(base, Tensor) else None)
        if not name.startswith(_SKIPPED):
            self._kernel(call, name)
        return None

    def _kernel(self, call: Any, name: str) -> None:
        kernel = self.mod[call.op] if isinstance(call.op, ir.GlobalVar) else None
        if not isinstance(kernel, tirx.PrimFunc):
            raise _no_kernel(name or str(call.op))
        symbol = str(kernel.attrs["global_symbol"])
        library = sorted(_library_calls(kernel))
        if library:
            raise _no_kernel(f"{library[0]} (in {symbol})")
        tensors = [tensor for arg in call.args for tensor in _flat(self.value(arg))]
        self.calls.append(Call(kernel=symbol, tensors=tuple(tensors)))


def _tensor(node: Any, name: str, value: Any = None, base: Tensor | None = None) -> Tensor:
    shape = expr.shape(node)
    if shape is None:
        raise ModelError(
            f"{name} has the type {node.ty}, and a static executable needs tensors of fixed shape: "
            "fix the model's shapes by example_inputs"
        )
    dtype = str(node.ty.dtype)
    if dtype not in _DTYPES:
        raise ModelError(
            f"{name} is {dtype}, which a static executable cannot hold; "
            f"expected one of {', '.join(sorted(_DTYPES))}"
        )
    return Tensor(shape=shape, dtype=dtype, value=value, base=base)


def _flat(value: Value) -> list[Tensor]:
    if isinstance(value, tuple):
        return [tensor for field in value for tensor in _flat(field)]
    return [] if value is None else [value]


def _library_calls(kernel: tirx.PrimFunc) -> set[str]:
    """Return the functions of TVM's library that a kernel calls."""
    found: set[str] = set()

    def look(call: Any) -> None:
        if "call_packed" in str(getattr(call.op, "name", "")):
            found.add(str(call.args[0].value))

    compat.visit(kernel.body, ir.Call, look)
    return found


def _no_kernel(what: str) -> ModelError:
    return ModelError(
        f"the model needs {what}, which TVM's runtime does; a static executable has kernels only: "
        "export a library (kind='library') instead"
    )
