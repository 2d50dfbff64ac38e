"""Kernels with tiles of AMX, emulated instruction by instruction: bit for bit what numbers say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import amx, integers, kernels
from support.layers import conv
from tvm_sparse import sixteen
from tvm_sparse.amx import AmxTile
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.layer import Layer

LAYERS = {
    "linear, ragged": Layer(op="linear", weight=(40, 132), input=(3, 17)),
    "linear, one row": Layer(op="linear", weight=(20, 70), input=(1,)),
    "linear, in place": Layer(op="linear", weight=(32, 128), input=(4, 80)),
    "1×1, batch 2": conv((24, 64, 1, 1), (2, 8, 8)),
    "ragged 3×3": conv((10, 7, 3, 3), (1, 9, 11), padding=(1, 1, 1, 1)),
    "3×3, stride 2, batch 2": conv((18, 66, 3, 3), (2, 9, 10), stride=(2, 2), padding=(1, 1, 1, 1)),
    "two groups, dilation 2": conv(
        (12, 8, 3, 3), (1, 10, 10), groups=2, padding=(2, 2, 2, 2), dilation=(2, 2)
    ),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[amx.Emulated]:
    found = amx.Emulated(tmp_path_factory.mktemp("amx"))
    yield found
    found.end()


def numbers(layer: Layer, density: float) -> Integers:
    """Weights in blocks of 16 filters × 64 channels; of 17 filters or more, the first have none."""
    given = integers.numbers(layer, density=1.0)
    rng, weight = np.random.default_rng(4), given.weight.copy()
    flat = weight.reshape(*weight.shape[:2], -1)
    for f in range(0, weight.shape[0], 16):
        for c in range(0, weight.shape[1], 64):
            flat[f : f + 16, c : c + 64, rng.random(flat.shape[2]) >= density] = 0
    if density < 1 and len(weight) > 16:
        weight[:16] = 0
    return replace(given, weight=weight)


def check(
    process: amx.Emulated, layer: Layer, given: Integers, dense: bool = False, filters: int = 16
) -> None:
    """Every byte is right, and took as many products as there are tiles of weights."""
    x, before = integers.inputs(layer), process.count("tdp")
    choice = amx.in_tiles(layer, given, dense, filters)
    actual = amx.outputs(process, choice, given, x)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, given))
    plane, tiles = choice.kernel.plane, len(choice.rows.taps) * filters // 16
    assert plane is not None
    products = plane.all_tiles * plane.length // 16 * tiles
    assert not process.counts or process.count("tdp") - before == products


@pytest.mark.parametrize("which", LAYERS)
def test_every_tile_is_multiplied(which: str, process: amx.Emulated) -> None:
    check(process, LAYERS[which], numbers(LAYERS[which], 1.0), dense=True)


@pytest.mark.parametrize("which", ["linear, ragged", "two groups, dilation 2"])
def test_tiles_without_weights_are_skipped(which: str, process: amx.Emulated) -> None:
    check(process, LAYERS[which], numbers(LAYERS[which], 0.4))


def test_tiles_of_32_filters_share_their_inputs(process: amx.Emulated) -> None:
    layer = LAYERS["linear, ragged"]
    check(process, layer, numbers(layer, 0.6), filters=32)


def test_a_weight_of_zeros_alone_leaves_the_bias(process: amx.Emulated) -> None:
    layer = LAYERS["linear, ragged"]
    check(process, layer, numbers(layer, 0.0))


def test_extreme_bytes_do_not_saturate(process: amx.Emulated) -> None:
    layer = LAYERS["linear, one row"]
    given = replace(numbers(layer, 1.0), weight=np.full(layer.weight, -128, np.int8))
    x = np.full((*layer.input, layer.channels), 255, np.uint8)
    actual = amx.outputs(process, amx.in_tiles(layer, given), given, x)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, given))


def test_floats_are_exact_too(process: amx.Emulated) -> None:
    layer = LAYERS["linear, ragged"]
    check(process, layer, replace(numbers(layer, 0.5), output=None))


def test_a_residual_is_added_before_rounding(process: amx.Emulated) -> None:
    layer = LAYERS["3×3, stride 2, batch 2"]
    given = replace(numbers(layer, 0.5), residual=Bytes(scale=0.03, zero=60), low=0.0)
    x, rng = integers.inputs(layer), np.random.default_rng(3)
    shape = kernels.reference(layer, x, given.weight).shape
    residual = rng.integers(0, 256, shape).astype(np.uint8)
    actual = amx.outputs(process, amx.in_tiles(layer, given), given, x, residual)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, given, residual))


def test_a_process_that_linux_gives_no_tiles_is_told_so(process: amx.Emulated) -> None:
    layer = LAYERS["linear, one row"]
    given = numbers(layer, 1.0)
    choice = amx.in_tiles(layer, given)
    bound = implement(choice, given)
    arrays = integers.arguments(layer, given, bound, integers.inputs(layer))
    process.refuse(True)
    said = process.run(bound.func, amx.target(), arrays)
    process.refuse(False)
    assert "Linux gives this process no tiles" in str(said)


def test_a_register_tile_loads_weights_once_and_inputs_where_they_stand() -> None:
    layer = LAYERS["linear, in place"]
    given = numbers(layer, 1.0)
    choice = amx.in_tiles(layer, given)
    tile, text = choice.kernel.tile, kernels.assembly(implement(choice, given).func, amx.target())
    assert isinstance(tile, AmxTile) and tile.in_place and tile.vectors > 1
    products = text.count("tdpbsud")
    assert text.count("tileloadd") * tile.vectors == products * (tile.vectors + 1) > 0
    assert text.count("ldtilecfg") == text.count("tilerelease") == 1


@pytest.mark.parametrize(
    ("keep", "rows", "filters"), [(1.0, 32, 32), (0.4, 48, 16)], ids=["dense", "sparse"]
)
def test_pairs_of_bfloat16_are_multiplied(
    keep: float, rows: int, filters: int, process: amx.Emulated
) -> None:
    layer = Layer(op="linear", weight=(40, 132), input=(3, 17))
    weight = kernels.weights(layer)
    if keep < 1:
        weight[:16], weight[16:, :64] = 0, 0
    x, before = kernels.inputs(layer), process.count("tdp")
    actual, products = amx.pairs_outputs(process, layer, weight, x, rows, filters)
    rounded = [sixteen.rounded(array, "bfloat16") for array in (x, weight)]
    kernels.assert_close(actual, kernels.reference(layer, *rounded), 1e-5)
    assert not process.counts or process.count("tdp") - before == products


def test_a_quantized_model_gives_the_same_floats_as_without_tiles(
    process: amx.Emulated, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(64, 64, 3)
    x = torch.randn(1, 64, 8, 8)
    quantized = ts.quantize(model.eval(), [x])
    tiled = ts.build(quantized, target="x86-amx")
    assert "tiles of AMX" in str(tiled.report)
    tiled.export(tmp_path / "model.so")
    actual = process.call("model", str(tmp_path / "model.so"), [x.numpy()])
    np.testing.assert_array_equal(actual, ts.build(quantized)(x.numpy()))
