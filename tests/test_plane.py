from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane

windows = st.builds(
    lambda k, s, d, p, size: Layer(
        op="conv2d",
        weight=(4, 3, *k),
        input=(1, size[0], size[1]),
        stride=s,
        dilation=d,
        padding=p,
    ),
    k=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    s=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    d=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    p=st.tuples(*[st.integers(0, 3)] * 4),
    size=st.tuples(st.integers(13, 20), st.integers(13, 20)),
)


def packed(plane: Plane, image: np.ndarray) -> np.ndarray:
    """The packed input of the first tile, as the pack block's comment describes it."""
    layer = plane.layer
    (top, left, _, _), (sh, sw) = layer.padding, layer.stride
    out = np.zeros((image.shape[0], *plane.phases, plane.size))
    for c, py, px in np.ndindex(out.shape[:3]):
        for r in range(plane.packed_rows):
            y = r * sh + py * plane.phase_step[0] - top
            for j in range(plane.columns):
                x = j * sw + px * plane.phase_step[1] - left
                if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                    out[c, py, px, r * plane.pitch + j] = image[c, y, x]
    return out.reshape(-1)


@given(windows, st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_every_tap_is_one_offset_away(layer: Layer, rows: int, fold: int) -> None:
    rows = min(rows, layer.output[1] // max(fold, 1))
    assume(rows > 0)
    plane = Plane(layer=layer, step=16, rows=rows * max(fold, 1), fold=fold)
    image = np.random.default_rng(0).random((3, *layer.input[1:]))
    flat, offsets = packed(plane, image), plane.offsets().reshape(3, *layer.kernel)
    (top, left, _, _), (sh, sw), (dh, dw) = layer.padding, layer.stride, layer.dilation
    for y in range(plane.rows):
        for x in range(layer.output[2]):
            for c, ky, kx in np.ndindex(offsets.shape):
                iy, ix = y * sh + ky * dh - top, x * sw + kx * dw - left
                inside = 0 <= iy < layer.input[1] and 0 <= ix < layer.input[2]
                expected = image[c, iy, ix] if inside else 0.0
                at = offsets[c, ky, kx] + plane.start_of(plane.lane_of(y, x))
                assert flat[at] == expected


@given(windows, st.integers(1, 5), st.integers(0, 3))
@settings(deadline=None)
def test_no_lane_reads_beyond_its_channel(layer: Layer, rows: int, fold: int) -> None:
    plane = Plane(layer=layer, step=48, rows=rows * max(fold, 1), fold=fold)
    assert plane.length % 48 == 0
    furthest = plane.offsets().max() % plane.channel % plane.size
    assert furthest + plane.start_of(plane.length - 1) < plane.size


def test_channels_lie_an_odd_number_of_cache_lines_apart() -> None:
    layer = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(1, 32, 32))
    for run in range(16, 1024, 16):
        assert Plane(layer=layer, step=16, run=run).size // 16 % 2 == 1


@pytest.mark.parametrize("run", [16, 48, 208])
def test_flat_tiles_cover_every_position_once(run: int) -> None:
    layer = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(1, 14, 14))
    plane = Plane(layer=layer, step=16, run=run)
    places = {(plane.tile_of(y, x), plane.lane_of(y, x)) for y in range(14) for x in range(14)}
    assert len(places) == 196
    assert max(tile for tile, _ in places) == plane.tiles - 1
    assert max(lane for _, lane in places) < plane.length


def test_every_image_has_tiles_of_its_own_but_rows_of_a_linear_layer_share_them() -> None:
    images = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(3, 14, 14))
    assert Plane(layer=images, step=16, run=48).all_tiles == 3 * 5
    rows = Layer(op="linear", weight=(8, 8), input=(3, 64))
    assert Plane(layer=rows, step=16, run=48).all_tiles == 4


def test_strided_pointwise_layers_pack_only_what_they_read() -> None:
    layer = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(1, 14, 14), stride=(2, 2))
    assert Plane(layer=layer, step=16, rows=7).phases == (1, 1)
