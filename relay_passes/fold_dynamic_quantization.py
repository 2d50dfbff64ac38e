"""Give bytes that are quantized while the model runs a meaning that is known before.

Before::

    q = R.quantize(x, s, z, "uint8")                                # s, z: computed from x
    y = R.matmul(R.dequantize(q, s, z), R.dequantize(w, scale, 0))

After::

    q = R.quantize(x, s, z, "uint8")
    t = R.matmul(R.dequantize(q, 1, 128), R.dequantize(w, scale, 0))
    y = (t + (128 - z) * c) * s                                     # c: sums of filters' weights

`tvm_sparse.relay_passes.fold_quantization` makes an integer kernel of ``t``. Images are padded
before a convolution, with bytes that stand for zero. A linear layer may read reshaped rows.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax import op

from tvm_sparse.algorithms import dynamic
from tvm_sparse.errors import ModelError
from tvm_sparse.relay_passes import expr, layers, quantized, record, scope

_MIDDLE = {"uint8": 128, "int8": 0}
_LAYERS = (layers.CONV, layers.LINEAR)


@tvm.transform.module_pass(opt_level=0, name="FoldDynamicQuantization")
class FoldDynamicQuantization(scope.ForTarget):
    """Let layers of bytes whose scale is computed read bytes whose scale is 1.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.

    Raises
    ------
    ModelError
        If there are such layers, and the target is a GPU.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function; layers keep their names."""
        names, is_gpu = record.names(mod), self.target.is_gpu
        before = dict(names)

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            found: dict[relax.Var, expr.Change] = {}
            for var, call in uses.values.items():
                weight = _weight(uses, call)
                if weight is None:
                    continue
                name = before.get(var.name, var.name)
                if is_gpu:
                    raise ModelError(
                        f"{name} quantizes what it reads while it runs, which has kernels for CPUs "
                        "alone: build for a CPU, or quantize the model statically"
                    )
                found[var] = functools.partial(_static, weight=weight, name=name, names=names)
            return found

        mod = expr.rebind(mod, changes)
        return record.with_names(mod, names) if names != before else mod


def _weight(uses: expr.Uses, call: Any) -> npt.NDArray[np.float32] | None:
    """Return the sum of each filter's weights, if a layer reads bytes of an unknown meaning."""
    if expr.op_name(call) not in _LAYERS:
        return None
    read = uses.value(quantized.data_of(uses, call))
    if expr.op_name(read) != quantized.DEQUANTIZE or not isinstance(read.args[0], relax.Var):
        return None
    if str(read.args[0].ty.dtype) not in _MIDDLE or not all(map(_is_number, read.args[1:3])):
        return None
    if all(uses.constant(arg) is not None for arg in read.args[1:3]):
        return None
    weight = quantized.weight(uses, call)
    if weight is None or isinstance(weight, str):
        return None
    value, scale = weight
    sums: npt.NDArray[np.float32] = value.reshape(len(value), -1).sum(axis=1) * scale
    return sums.astype(np.float32)


def _is_number(arg: Any) -> bool:
    return expr.shape(arg) in ((), (1,))


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower a quantize whose scale or zero point is computed, rounding as our kernels do."""
    x, scale, zero = call.args[:3]
    known = all(expr.constant(builder, arg) is not None for arg in (scale, zero))
    if known or not all(map(_is_number, (scale, zero))):
        return _BY_TVM(builder, call)
    return builder.call_te(dynamic.quantized, x, scale, zero, primfunc_name_hint="quantize")


_BY_TVM = tvm.ir.Op.get(quantized.QUANTIZE).get_attr("FLegalize")
LEGALIZE: dict[str, Any] = {quantized.QUANTIZE: _quantize}
"""How `relax.transform.LegalizeOps` lowers what no integer kernel computes."""


def _static(
    call: Any,
    builder: relax.BlockBuilder,
    weight: npt.NDArray[np.float32],
    name: str,
    names: dict[str, str],
) -> Any:
    """Return a layer over bytes of a known meaning, and what makes its sums right."""
    read = expr.definition(builder, call.args[0])
    while expr.op_name(read) != quantized.DEQUANTIZE:  # reshapes of rows
        read = expr.definition(builder, read.args[0])
    (q, scale, zero), is_conv = read.args[:3], expr.op_name(call) == layers.CONV
    if is_conv:
        q = _padded(q, zero, layers.four(call.attrs.padding), builder)
    dtype = str(q.ty.dtype)
    middle = _MIDDLE[dtype]
    real = op.dequantize(q, relax.const(1.0, "float32"), relax.const(middle, dtype), axis=0)
    sums = builder.emit(_layer(call, builder.emit(real), is_conv, builder), "sums")
    names[sums.name] = name
    each = expr.const(weight.reshape((1, -1, 1, 1) if is_conv else (-1,)))
    away = op.subtract(relax.const(float(middle), "float32"), op.astype(zero, "float32"))
    rest = builder.emit(op.multiply(builder.emit(away), each))
    return op.multiply(builder.emit(op.add(sums, rest)), scale)


def _padded(
    q: Any, zero: Any, padding: tuple[int, int, int, int], builder: relax.BlockBuilder
) -> Any:
    if not any(padding):
        return q
    pad = functools.partial(dynamic.padded, padding=padding)
    return builder.emit_te(pad, q, zero, primfunc_name_hint="pad")


def _layer(call: Any, data: Any, is_conv: bool, builder: relax.BlockBuilder) -> Any:
    """Return a layer's call of other data, without padding."""
    if not is_conv:
        shape = expr.shape(call.args[0])
        moved = data if expr.shape(data) == shape else builder.emit(op.reshape(data, shape))
        return op.matmul(moved, call.args[1])
    attrs = call.attrs
    return op.nn.conv2d(
        data,
        call.args[1],
        strides=[int(size) for size in attrs.strides],
        dilation=[int(size) for size in attrs.dilation],
        groups=int(attrs.groups),
    )
