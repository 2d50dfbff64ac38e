from __future__ import annotations

import torch

from tvm_sparse.layer import Layer


def conv(**changes: object) -> Layer:
    values: dict[str, object] = {"op": "conv2d", "weight": (8, 4, 3, 3), "input": (2, 9, 11)}
    return Layer(**{**values, **changes})  # type: ignore[arg-type]


def test_output_size_is_that_of_torch_for_any_window() -> None:
    for stride, padding, dilation in [((1, 1), (1, 1), (1, 1)), ((2, 3), (0, 2), (2, 1))]:
        layer = conv(stride=stride, padding=(*padding, *padding), dilation=dilation)
        module = torch.nn.Conv2d(4, 8, 3, stride, padding, dilation)
        assert layer.output == (2, *module(torch.zeros(2, 4, 9, 11)).shape[2:])


def test_macs_are_filters_times_taps_times_positions() -> None:
    layer = conv(padding=(1, 1, 1, 1))
    assert (layer.filters, layer.taps, layer.positions) == (8, 36, 2 * 9 * 11)
    assert layer.macs == 8 * 36 * 198


def test_channels_count_all_groups() -> None:
    assert conv(groups=4).channels == 16


def test_the_name_takes_no_part_in_equality_or_key() -> None:
    assert conv(name="a") == conv(name="b")
    assert len({conv(name="a"), conv(name="b")}) == 1
    assert conv(name="a").key == conv(name="b").key


def test_the_key_tells_every_window_apart() -> None:
    layers = [
        conv(),
        conv(stride=(2, 1)),
        conv(padding=(1, 0, 0, 0)),
        conv(dilation=(1, 2)),
        conv(groups=2),
        conv(input=(1, 9, 11)),
        Layer(op="linear", weight=(8, 4), input=(9,)),
    ]
    assert len({layer.key for layer in layers}) == len(layers)


def test_pointwise_layers_read_their_own_position_only() -> None:
    assert conv(weight=(8, 4, 1, 1)).pointwise
    assert not conv(weight=(8, 4, 1, 1), stride=(2, 2)).pointwise
    assert not conv(weight=(8, 4, 1, 1), padding=(1, 1, 1, 1)).pointwise
    assert Layer(op="linear", weight=(8, 4), input=(3,)).pointwise


def test_depthwise_layers_have_one_channel_a_group() -> None:
    assert conv(weight=(8, 1, 3, 3), groups=8).depthwise
    assert not conv(weight=(8, 1, 3, 3), groups=1).depthwise
