"""No kernel reads or writes outside its buffers, however small the image."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
import tvm
from hypothesis import HealthCheck, given, settings
from tvm import relax

from support import bounds, kernels
from tvm_sparse import formats
from tvm_sparse.bench import networks
from tvm_sparse.frontend import import_model
from tvm_sparse.layer import Layer
from tvm_sparse.pruning import prune
from tvm_sparse.relay_passes import pipeline
from tvm_sparse.targets import Target


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Convolutions down to a single pixel, whose windows may hang over the image's edges."""
    number = st.integers(1, 3)
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 7)))
    dilation = (draw(number), draw(number))
    edge = st.integers(0, 3)
    padding = (draw(edge), draw(edge), draw(edge), draw(edge))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, reach[i] - padding[i] - padding[i + 2]) for i in range(2)]
    size = [draw(st.integers(n, n + 40)) if i else draw(st.integers(n, n + 6)) for i, n in
            enumerate(least)]  # fmt: skip
    groups = draw(st.integers(1, 2))
    return Layer(
        op="conv2d",
        weight=(groups * draw(st.integers(1, 9)), draw(st.integers(1, 5)), *kernel),
        input=(draw(st.integers(1, 2)), *size),
        stride=(draw(number), draw(number)),
        dilation=dilation,
        padding=padding,
        groups=groups,
    )


def check(layer: Layer, target: Target) -> None:
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    expected = kernels.reference(layer, x, weight)
    actual = kernels.run_dense(layer, weight, x, target, bounds.NAME)
    kernels.assert_close(actual, expected, 1e-5)
    weight *= formats.get("block").mask(abs(weight), 0.4, (4, 1))
    choice = kernels.stored_as(layer, weight, "block", (4, 1), target)
    actual = kernels.run_sparse(choice, weight, x, target, bounds.NAME)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@given(layer=layers())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_convolution_leaves_its_buffers(layer: Layer, x86: Target) -> None:
    check(layer, x86)


@given(layer=layers(), filters=st.integers(1, 2))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_depthwise_layer_leaves_its_buffers(layer: Layer, filters: int, x86: Target) -> None:
    weight = (layer.channels * filters, 1, *layer.kernel)
    layer = replace(layer, weight=weight, groups=layer.channels)
    x, dense = kernels.inputs(layer), kernels.weights(layer)
    actual = kernels.run_dense(layer, dense, x, x86, bounds.NAME)
    kernels.assert_close(actual, kernels.reference(layer, x, dense), 1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_strided_convolutions_of_tiny_images_stay_inside(
    size: int, kernel: int, x86: Target
) -> None:
    same = (kernel // 2,) * 4
    weight = (8, 3, kernel, kernel)
    check(
        Layer(op="conv2d", weight=weight, input=(1, size, size), stride=(2, 2), padding=same), x86
    )
    check(Layer(op="conv2d", weight=weight, input=(2, size, size), padding=same), x86)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_whole_networks_of_tiny_images_stay_inside(name: str, x86: Target) -> None:
    model, image = networks.network(name, 32, classes=10)
    prune(model, "block_punched-8x4@0.2")
    check_model(model, image, x86)


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.MaxPool2d(3, 2, 1),
        torch.nn.MaxPool2d(2),
        torch.nn.AvgPool2d(3, 2, 1),
        torch.nn.AdaptiveAvgPool2d(3),
        torch.nn.Linear(5, 7),
        torch.nn.Softmax(-1),
        torch.nn.LayerNorm(5),
    ],
    ids=str,
)
def test_other_layers_stay_inside(layer: torch.nn.Module, x86: Target) -> None:
    check_model(layer.eval(), torch.randn(2, 3, 4, 5), x86)


def check_model(model: torch.nn.Module, image: torch.Tensor, target: Target) -> None:
    mod = pipeline.pipeline(target)(import_model(model, (image,), None))
    lowered = {"relax_pipeline": None, "tir_pipeline": bounds.NAME}
    machine = relax.VirtualMachine(tvm.compile(mod, target=target.to_tvm(), **lowered), tvm.cpu())
    actual = machine["main"](tvm.runtime.tensor(image.numpy())).numpy()
    with torch.inference_mode():
        kernels.assert_close(actual, model(image), 1e-4)
