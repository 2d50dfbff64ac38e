"""A dense convolution and the max pooling after it are one kernel, with the same outputs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tvm_sparse as ts
from support import bounds, kernels
from support.naive import naive_loops
from tvm_sparse import implement, pooled_kernel, targets
from tvm_sparse.choose import Choice, choose
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.frontend import import_model
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation, pipeline, record
from tvm_sparse.targets import Target

torch.manual_seed(0)


def stem(*between: nn.Module) -> nn.Module:
    """The beginning of a residual network, and a layer after it."""
    first, pool = nn.Conv2d(3, 20, 7, 2, 3), nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(first, *between, pool, nn.Conv2d(20, 4, 3)).eval()


def pools(model: nn.Module, size: tuple[int, ...] = (2, 3, 45, 50)) -> tuple[bool, bool]:
    """Whether a model pools sums, and inputs; its outputs are torch's in any case."""
    x = torch.randn(*size)
    alone = dataclasses.replace(targets.load("x86"), cores=1)
    compiled = ts.build(model, alone, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []
    names = [var.name_hint for var, _ in compiled.mod.functions_items()]
    fused = any("conv2d_max_pool" in name for name in names)
    return fused, any("max_pool" in name and "conv2d" not in name for name in names)


def test_a_convolution_its_epilogue_and_pooling_are_one_kernel() -> None:
    assert pools(stem(nn.BatchNorm2d(20), nn.ReLU())) == (True, False)


def test_a_kernel_that_is_best_for_the_convolution_alone_does_not_replace_it(x86: Target) -> None:
    def decide(layer: Layer, weight: Weight, target: Target) -> Choice:
        choice = choose(layer, weight, target)
        faster = dataclasses.replace(choice.kernel, seconds=0.0)
        return dataclasses.replace(choice, kernel=faster)

    mod = import_model(stem(nn.ReLU()), torch.randn(2, 3, 45, 50))
    lowered = pipeline.pipeline(x86, decide=decide)(mod)
    assert any("conv2d_max_pool" in var.name_hint for var, _ in lowered.functions_items())
    first, last = record.read(lowered).rows
    assert first.reason == "its sums are pooled" and last.reason == "no zeros"


def test_activations_with_bounds_may_stand_between() -> None:
    assert pools(stem(nn.ReLU6()), (1, 3, 37, 37)) == (True, False)


def test_an_activation_that_falls_somewhere_may_not() -> None:
    assert pools(stem(nn.SiLU())) == (False, True)


def test_what_another_layer_reads_too_is_stored_before_it_is_pooled() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.first(x))
            both: Tensor = functional.max_pool2d(y, 2) + self.second(y)[:, :, ::2, ::2]
            return both

    assert pools(Fork().eval(), (1, 3, 20, 20)) == (False, True)


def test_an_operand_that_differs_between_positions_may_not_stand_between() -> None:
    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.shift = nn.Conv2d(3, 8, 3), nn.Parameter(torch.randn(1, 1, 18, 18))

        def forward(self, x: Tensor) -> Tensor:
            pooled: Tensor = functional.max_pool2d(self.conv(x) + self.shift, 2)
            return pooled

    assert pools(Shift().eval(), (1, 3, 20, 20)) == (False, True)


def test_sparse_convolutions_are_pooled_after_they_are_stored() -> None:
    model = stem(nn.ReLU())
    ts.prune(model, {"0": "one_by_n-4@0.2"})
    assert pools(model, (1, 3, 64, 64)) == (False, True)


def window(
    image: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> tuple[Layer, Layer]:
    """A convolution with filters left over after the last register tile, and its pooling."""
    layer = Layer(op="conv2d", weight=(13, 5, 3, 3), input=image, padding=(1, 1, 1, 1))
    pool = Layer(
        op="conv2d",
        weight=(13, 1, *kernel),
        input=layer.output,
        stride=stride,
        padding=padding,
        groups=13,
    )
    return layer, pool


WINDOWS = {
    "overlapping": window((2, 21, 37), (3, 3), (2, 2), (1, 1, 1, 1)),
    "side by side": window((1, 18, 34), (2, 2), (2, 2)),
    "at every position": window((1, 9, 19), (3, 3), (1, 1), (1, 1, 1, 1)),
    "apart": window((1, 13, 33), (2, 1), (3, 2)),
    "wide": window((1, 12, 40), (2, 5), (3, 2), (0, 2, 0, 2)),
    "rounded up": window((1, 16, 16), (3, 3), (2, 2), (0, 0, 1, 1)),
    "few": window((1, 7, 5), (3, 3), (2, 2), (1, 1, 1, 1)),
    "one": window((1, 4, 3), (3, 3), (2, 2)),
}


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("which", WINDOWS)
def test_windows_of_every_shape_take_their_largest_sum(which: str, cores: int, x86: Target) -> None:
    layer, pool = WINDOWS[which]
    target = dataclasses.replace(x86, cores=cores)
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    assert pooled_kernel.supported(pool)
    smallest, *_, largest = pooled_kernel.kernels(layer, target)
    top, left, bottom, right = pool.padding
    sums = torch.from_numpy(kernels.reference(layer, x, weight))
    padded = functional.pad(sums, (left, right, top, bottom), value=float("-inf"))
    expected = functional.max_pool2d(padded, pool.kernel, pool.stride)
    for best, lowering in ((smallest, bounds.NAME), (largest, code_generation.NAME)):
        bound = implement.dense(layer, best, weight, pool)
        actual = kernels.run(pool, bound, best, x, target, lowering)
        kernels.assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize(
    "pool",
    [
        window((1, 20, 20), (3, 3), (3, 3))[1],  # vectors of every third sum
        window((1, 20, 20), (7, 7), (2, 2))[1],  # too many to unroll
        window((1, 20, 20), (2, 2), (2, 2), (2, 0, 0, 0))[1],  # the first windows lie outside
        window((1, 20, 20), (2, 2), (2, 2), (0, 0, 3, 0))[1],  # the last ones do
    ],
)
def test_other_windows_are_left_to_a_kernel_of_their_own(pool: Layer) -> None:
    assert not pooled_kernel.supported(pool)


def test_images_whose_sums_exceed_the_cache_are_stored_first(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(64, 64, 3, 3), input=(1, 512, 512), padding=(1, 1, 1, 1))
    pool = Layer(op="conv2d", weight=(64, 1, 2, 2), input=layer.output, stride=(2, 2), groups=64)
    assert pooled_kernel.best(layer, pool, x86) is None
