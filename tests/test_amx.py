"""Which integer layers are computed in tiles of AMX, and what that is predicted to take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm

from support import amx, integers, kernels
from support.layers import conv
from tvm_sparse import integer_choice, targets
from tvm_sparse.amx import AmxTile
from tvm_sparse.amx_cost import tap
from tvm_sparse.cost import Work
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.targets import native
from tvm_sparse.words import word_layer

ROWS = Layer(op="linear", weight=(768, 768), input=(128,))
WINDOW = conv((256, 256, 3, 3), (1, 14, 14), padding=(1, 1, 1, 1))


def pruned(layer: Layer, zeros: float, filters: int, channels: int) -> Integers:
    """Weights without a share of the blocks of so many filters and channels."""
    given = integers.numbers(layer, density=1.0)
    rng, flat = np.random.default_rng(0), given.weight.reshape(*layer.weight[:2], -1).copy()
    shape = (layer.filters // filters, layer.weight[1] // channels, flat.shape[2])
    keep = rng.permutation(np.linspace(0, 1, int(np.prod(shape)))) >= zeros
    blocks = keep.reshape(shape).repeat(filters, axis=0).repeat(channels, axis=1)
    return replace(given, weight=np.where(blocks, flat, 0).reshape(layer.weight).astype(np.int8))


@pytest.mark.parametrize("layer", [ROWS, WINDOW], ids=["linear", "3×3"])
def test_dense_tiles_beat_words_until_most_are_zero(layer: Layer) -> None:
    few, many = (
        integer_choice.choose(pruned(layer, zeros, 4, 4), layer, amx.target())
        for zeros in (0.5, 0.98)
    )
    assert isinstance(few.kernel.tile, AmxTile) and not few.is_sparse
    assert not isinstance(many.kernel.tile, AmxTile) and many.is_sparse


def test_tiles_without_weights_are_left_out_once_that_pays() -> None:
    choice = integer_choice.choose(pruned(WINDOW, 0.5, 16, 64), WINDOW, amx.target())
    assert isinstance(choice.kernel.tile, AmxTile)
    assert choice.stored.startswith("block_punched-16x64@")
    assert choice.kernel.seconds < 0.95 * choice.dense.seconds


def test_depthwise_layers_and_other_cpus_have_no_tiles() -> None:
    depthwise = conv((64, 1, 3, 3), (1, 14, 14), groups=64, padding=(1, 1, 1, 1))
    plain = replace(amx.target(), tile_cycles=0.0)
    for layer, target in ((depthwise, amx.target()), (WINDOW, plain)):
        choice = integer_choice.choose(integers.numbers(layer, density=1.0), layer, target)
        assert not isinstance(choice.kernel.tile, AmxTile)


def test_a_register_tile_of_six_is_bound_by_its_products() -> None:
    layer = word_layer(Layer(op="linear", weight=(768, 128), input=(192,)))
    plane, work = Plane(layer=layer, step=96, run=96), Work(blocks=48, taps=96, filters=16)
    for vectors, cycles in ((6, 6 * 16), (1, 52)):
        tile = AmxTile(filters=16, vectors=vectors, lanes=16, chunk=16, run=96)
        assert tap(plane, tile, work, amx.target()) == cycles + 2


def test_far_inputs_bind_linear_layers_more_than_windows() -> None:
    tile = AmxTile(filters=16, vectors=4, lanes=16, chunk=16)
    far = Plane(layer=word_layer(ROWS), step=64, run=64)
    near = Plane(layer=word_layer(WINDOW), step=64, rows=14)
    each = [Work(blocks=1, taps=layer.taps // 64, filters=16) for layer in (ROWS, WINDOW)]
    assert tap(far, tile, each[0], amx.target()) > 1.4 * tap(near, tile, each[1], amx.target())


def test_this_machine_has_tiles_if_its_flags_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = set(amx.target().needs) | {"avx2", "fma"}
    monkeypatch.setattr(native, "cpu_flags", lambda: frozenset(flags))
    assert native.profile()["vector"]["tile_cycles"] == amx.target().tile_cycles
    assert "amx_tile" in native.profile()["cpu"]["needs"]
    monkeypatch.setattr(native, "cpu_flags", lambda: frozenset(flags - {"amx_tile"}))
    assert "tile_cycles" not in native.profile()["vector"]


def test_without_such_instructions_the_same_kernel_is_loops() -> None:
    layer = Layer(op="linear", weight=(20, 70), input=(5,))
    given, x = integers.numbers(layer), integers.inputs(layer)
    choice, here = amx.in_tiles(layer, given), targets.load("x86-avx2")
    bound = implement(choice, given)
    arrays = integers.arguments(layer, given, bound, x)
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    kernels.compiled(bound.func, here)(*tensors)
    actual = integers.from_words(layer, tensors[-1].numpy(), given)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, given))
