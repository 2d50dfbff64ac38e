"""The layers that are measured one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax

from tvm_sparse import formats
from tvm_sparse.bench import networks
from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

SETS = ("resnet50", "resnext50", "mobilenet_v2", "vgg16", "bert", "vit")
_ENCODERS = {"bert": (128, 768), "vit": (197, 384)}  # tokens, width
_ENCODER_BLOCKS = 12


def layer_set(name: str) -> dict[Layer, int]:
    """Return the distinct layers of a set, and how often each occurs, in order of appearance.

    Parameters
    ----------
    name : {"resnet50", "resnext50", "mobilenet_v2", "vgg16", "bert", "vit"}
        Every convolution of ResNet-50 and ResNeXt-50, the 1×1 ones of MobileNetV2, the 3×3 ones of
        VGG-16, the linear layers of BERT-base on 128 tokens and of ViT-S/16 on 197.

    Raises
    ------
    FormatError
        If there is no set of that name.
    """
    if name in _ENCODERS:
        tokens, width = _ENCODERS[name]
        shapes = {(width, width): 4, (4 * width, width): 1, (width, 4 * width): 1}
        return {
            Layer(op="linear", weight=shape, input=(tokens,), name=f"{shape[1]}→{shape[0]}"): (
                _ENCODER_BLOCKS * number
            )
            for shape, number in shapes.items()
        }
    if name not in SETS:
        raise FormatError(f"unknown layer set {name!r}; expected one of {', '.join(SETS)}")
    found = _convolutions(name)
    if name == "mobilenet_v2":
        found = [layer for layer in found if layer.pointwise]
    if name == "vgg16":
        found = [layer for layer in found if layer.channels > 3]
    return dict(Counter(found))


def _convolutions(name: str) -> list[Layer]:
    """Run a network on an image and note what its convolutions see."""
    model, image = networks.network(name)
    found: list[Layer] = []

    def note(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d) and not isinstance(module.padding, str)
        kernel, stride, pad = module.kernel_size[0], module.stride[0], module.padding[0]
        batch, channels, height, width = args[0].shape
        where = f"{channels}→{output.shape[1]} {kernel}×{kernel} @{height}"
        found.append(
            Layer(
                op="conv2d",
                weight=tuple(module.weight.shape),
                input=(batch, height, width),
                stride=(stride, stride),
                padding=(pad, pad, pad, pad),
                groups=module.groups,
                name=where + (f" /{stride}" if stride > 1 else ""),
            )
        )

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        model(image)
    return found


def relax_layer(layer: Layer, weight: Weight) -> tvm.IRModule:
    """Return a Relax module of a single layer."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(input_shape(layer), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            if layer.op == "linear":
                y = relax.op.matmul(x, relax.const(weight.T.copy()))
            else:
                y = relax.op.nn.conv2d(
                    x,
                    relax.const(weight),
                    strides=layer.stride,
                    padding=layer.padding,
                    dilation=layer.dilation,
                    groups=layer.groups,
                )
            out = builder.emit_output(y)
        builder.emit_func_output(out)
    return builder.get()


def torch_layer(layer: Layer, weight: Weight) -> nn.Module:
    """Return a torch module of a single layer (with equal padding on all sides)."""
    module: nn.Linear | nn.Conv2d
    if layer.op == "linear":
        module = nn.Linear(layer.channels, layer.filters, bias=False)
    else:
        module = nn.Conv2d(
            layer.channels,
            layer.filters,
            layer.kernel,
            layer.stride,
            layer.padding[:2],
            layer.dilation,
            layer.groups,
            bias=False,
        )
    module.weight = nn.Parameter(torch.from_numpy(weight), requires_grad=False)
    return module.eval()


def example(layer: Layer) -> tuple[Weight, torch.Tensor]:
    """Return a seeded weight that keeps activations of order one, and an input."""
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal(layer.weight) / np.sqrt(layer.taps)).astype(np.float32)
    image = torch.from_numpy(rng.standard_normal(input_shape(layer)).astype(np.float32))
    return weight, image


def pruned(weight: Weight, scheme: Scheme) -> Weight:
    """Return the weight with the smallest magnitudes removed as the scheme says."""
    if scheme.density == 1.0:
        return weight
    keep = formats.get(scheme.format).mask(abs(weight), scheme.density, scheme.block)
    return np.asarray(weight * keep)


def input_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's input."""
    if layer.op == "linear":
        return (*layer.input, layer.channels)
    return (layer.input[0], layer.channels, *layer.input[1:])
