"""Linear layers in bfloat16: what rounded weights and rounded inputs give, with sums in floats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import tvm
from torch import nn

import tvm_sparse as ts
from support import bounds, kernels
from tvm_sparse import choose, implement_pairs, pairs, sixteen
from tvm_sparse.errors import TargetError
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.lower_pairs import has_pairs
from tvm_sparse.targets import Target

LAYERS = {
    "ragged": Layer(op="linear", weight=(70, 96), input=(3,)),
    "an odd channel": Layer(op="linear", weight=(33, 75), input=(5,)),
    "nested rows": Layer(op="linear", weight=(16, 40), input=(2, 3)),
}


def words_of(x: Weight) -> Weight:
    flat = x.reshape(-1, x.shape[-1])
    return pairs.joined(flat).reshape(*x.shape[:-1], -1)


def check(
    layer: Layer, keep: float, target: Target, lowering: str = code_generation.NAME
) -> pairs.PairChoice:
    rng, weight = np.random.default_rng(0), kernels.weights(layer)
    filters, channels = layer.weight
    weight *= np.repeat(rng.random((-(-filters // 16), channels)) < keep, 16, axis=0)[:filters]
    floats = choose.choose(layer, weight, target)
    choice = pairs.choose(floats, weight, target, margin=np.inf)
    assert choice is not None
    x = sixteen.rounded(kernels.inputs(layer), "bfloat16")
    bound = implement_pairs.implement(choice)
    function = kernels.compiled(bound.func, target, lowering)
    out = np.full((*layer.output, filters), np.nan, np.float32)
    given = [tvm.runtime.tensor(a) for a in (words_of(x), *bound.constants, out)]
    function(*given)
    expected = kernels.reference(layer, x, sixteen.rounded(weight, "bfloat16"))
    kernels.assert_close(given[-1].numpy(), expected, 1e-5)
    return choice


@pytest.mark.parametrize("which", LAYERS)
def test_every_pair_is_multiplied(which: str, target: Target) -> None:
    assert check(LAYERS[which], 1.0, target).rows is None


def test_words_that_no_filter_of_a_panel_keeps_are_skipped(target: Target) -> None:
    layer = Layer(op="linear", weight=(60, 801), input=(2, 6))
    assert check(layer, 0.05, target).rows is not None


def test_kernels_of_pairs_stay_within_their_buffers(x86: Target) -> None:
    check(LAYERS["an odd channel"], 1.0, x86, bounds.NAME)


def test_networks_compute_linear_layers_in_pairs_where_these_are_faster(x86: Target) -> None:
    if not has_pairs(x86.to_tvm()):
        pytest.skip("this CPU has no AVX512-BF16")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(255, 256), nn.ReLU(), nn.Linear(256, 256)).eval()
    x = torch.randn(48, 255)
    compiled = ts.build(net, example_inputs=(x,), dtype="bfloat16")
    assert all("pairs of bfloat16" in row.kernel and row.bits == 16 for row in compiled.report)
    with torch.inference_mode():
        y = net(x).numpy()
    assert 0 < np.abs(compiled(x).numpy() - y).max() < 1e-2 * np.abs(y).max()


def test_other_cpus_are_told_what_they_can_do_instead() -> None:
    with pytest.raises(TargetError, match="stores weights so anywhere"):
        ts.build(nn.Linear(8, 8), "x86-avx2", example_inputs=(torch.rand(1, 8),), dtype="bfloat16")
