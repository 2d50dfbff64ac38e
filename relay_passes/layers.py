"""Read convolutions, linear layers and pooling windows out of Relax calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr

CONV, LINEAR = "relax.nn.conv2d", "relax.matmul"
POOLS = ("relax.nn.max_pool2d", "relax.nn.avg_pool2d")
MEANS = ("relax.mean", "relax.nn.adaptive_avg_pool2d")  # of whole images, perhaps


def layer_of(call: relax.Call, weight: Any, name: str, halves: bool = False) -> Layer | str:
    """Return the layer that a call computes, or why it is not one of ours.

    Parameters
    ----------
    call : relax.Call
        Of ``R.nn.conv2d`` or ``R.matmul``.
    weight : array or None
        The value of its second argument, if that is constant.
    name : str
        What the layer is called in reports.
    halves : bool
        Whether float16 tensors are welcome too.
    """
    if weight is None:
        return "its weight is not constant"
    dtype = _dtype(call, halves)
    if dtype is None or dtype != _dtype(call.args[0], halves):
        return f"expected float32 tensors of static shape, got {call.args[0].ty}"
    read = _linear if expr.op_name(call) == LINEAR else _conv2d
    layer = read(call, weight, name)
    return replace(layer, dtype=dtype) if isinstance(layer, Layer) else layer


def _dtype(value: relax.Expr, halves: bool) -> str | None:
    """Return the type of a tensor's elements, or None if it is not one of ours."""
    if expr.shape(value) is None:
        return None
    dtype = str(value.ty.dtype)
    return dtype if dtype == "float32" or (halves and dtype == "float16") else None


def weight_of(layer: Layer, value: Any) -> Any:
    """Return a call's constant second argument as a float32 weight of its layer, filters first."""
    return (value.T if layer.op == "linear" else value).astype(np.float32, copy=False)


def _linear(call: relax.Call, weight: Any, name: str) -> Layer | str:
    shape = expr.shape(call.args[0])
    if weight.ndim != 2 or shape is None or len(shape) < 2:
        return "expected a matrix of weights and an input of rows"
    return Layer(op="linear", weight=weight.T.shape, input=shape[:-1], name=name)


def _conv2d(call: relax.Call, weight: Any, name: str) -> Layer | str:
    attrs = call.attrs
    layouts = str(attrs.data_layout), str(attrs.kernel_layout), str(attrs.out_layout or "NCHW")
    if layouts != ("NCHW", "OIHW", "NCHW"):
        return f"expected the layouts NCHW and OIHW, got {layouts[0]} and {layouts[1]}"
    batch, _, height, width = expr.shape(call.args[0]) or (0, 0, 0, 0)
    return Layer(
        op="conv2d",
        weight=weight.shape,
        input=(batch, height, width),
        stride=_pair(attrs.strides),
        padding=four(attrs.padding),
        dilation=_pair(attrs.dilation),
        groups=int(attrs.groups),
        name=name,
    )


def window_of(call: relax.Call, halves: bool = False) -> Layer | None:
    """Return the window of a pooling call as a depthwise layer, or None if it is not ours."""
    shape, output, attrs = expr.shape(call.args[0]), expr.shape(call), call.attrs
    if shape is None or output is None or len(shape) != 4 or not _dtype(call, halves):
        return None
    if str(attrs.layout) != "NCHW" or str(attrs.out_layout or "NCHW") != "NCHW":
        return None
    (top, left, bottom, right), stride = four(attrs.padding), _pair(attrs.strides)
    kernel, dilation = _pair(attrs.pool_size), _pair(attrs.dilation)
    # With ceil_mode the last windows reach beyond the padding.
    bottom = max(bottom, _needed(output[2], stride[0], kernel[0], dilation[0]) - shape[2] - top)
    right = max(right, _needed(output[3], stride[1], kernel[1], dilation[1]) - shape[3] - left)
    layer = Layer(
        op="conv2d",
        weight=(shape[1], 1, *kernel),
        input=(shape[0], shape[2], shape[3]),
        stride=stride,
        padding=(top, left, bottom, right),
        dilation=dilation,
        groups=shape[1],
        dtype=str(call.ty.dtype),
    )
    return layer if layer.output == (output[0], *output[2:]) else None


def shares_of(call: relax.Call, window: Layer) -> npt.NDArray[np.float32]:
    """Return one over the inputs that count at each output position."""
    top, left, bottom, right = four(call.attrs.padding)
    counted = (top, bottom), (left, right)
    if not call.attrs.count_include_pad:
        counted = (0, 0), (0, 0)
    axes = []
    for axis in (0, 1):
        size, before, (begin, end) = window.input[1 + axis], window.padding[axis], counted[axis]
        starts = np.arange(window.output[1 + axis]) * window.stride[axis] - before
        taps = np.arange(window.kernel[axis]) * window.dilation[axis]
        reached = starts[:, None] + taps
        axes.append(((reached >= -begin) & (reached < size + end)).sum(axis=1))
    share: npt.NDArray[np.float32] = (1.0 / np.outer(*axes)).astype(np.float32)
    return share


def is_global_mean(call: Any) -> bool:
    """Whether a call takes the mean of whole images, in NCHW."""
    if expr.op_name(call) not in MEANS or len(expr.shape(call.args[0]) or ()) != 4:
        return False
    if expr.op_name(call) == MEANS[0]:
        axes = call.attrs.axis
        return axes is not None and {int(axis) % 4 for axis in axes} == {2, 3}
    sizes = call.attrs.output_size
    plain = str(call.attrs.layout) == "NCHW" and sizes is not None
    return plain and all(int(size) == 1 for size in sizes)


def _needed(outputs: int, stride: int, kernel: int, dilation: int) -> int:
    return (outputs - 1) * stride + (kernel - 1) * dilation + 1


def _pair(values: Any) -> tuple[int, int]:
    numbers = [int(value) for value in values]
    return (numbers[0], numbers[-1])


def four(values: Any) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of one, two or four padding sizes."""
    numbers = [int(value) for value in values]
    if len(numbers) == 4:
        return (numbers[0], numbers[1], numbers[2], numbers[3])
    return (numbers[0], numbers[-1], numbers[0], numbers[-1])
