"""What `quantize` takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import models
from tvm_sparse.errors import FormatError, InputError, ModelError
from tvm_sparse.quantization import samples

torch.manual_seed(0)


def model(last: nn.Conv2d | None = None) -> nn.Module:
    first = nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
    return models.settle(nn.Sequential(*first, last or nn.Conv2d(8, 4, 1)))


def test_layers_to_skip_stay_in_float() -> None:
    x = torch.rand(1, 4, 9, 9)
    report = ts.build(ts.quantize(model(), [x], skip=["0"])).report
    assert {row.name: row.is_integer for row in report} == {"0": False, "3": True}


def test_the_mean_that_rounding_takes_away_is_given_back() -> None:
    last, batches = nn.Conv2d(8, 4, 1), [torch.rand(1, 4, 9, 9) + 1 for _ in range(4)]
    net = model(last)
    with torch.no_grad():
        last.weight.mul_(torch.logspace(0, -2.5, 8)[:, None, None])  # coarse steps for most
        expected = torch.cat([net(x) for x in batches]).mean((0, 2, 3))

    def error(correct_bias: bool) -> float:
        compiled = ts.build(ts.quantize(net, batches, correct_bias=correct_bias))
        means = torch.cat([compiled(x) for x in batches]).mean((0, 2, 3))
        return float((means - expected).abs().max())

    assert error(True) < 0.5 * error(False)


def test_layers_whose_channels_are_no_words_stay_in_float_and_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(6, 12, 3, groups=3), nn.ReLU(), nn.Conv2d(12, 8, 1)).eval()
    compiled = ts.build(ts.quantize(net, [torch.rand(1, 6, 9, 9)]))
    assert {row.name: row.is_integer for row in compiled.report} == {"0": False, "2": True}
    assert "0 stays in float: groups of 2 channels are no whole words of 4" in compiled.report.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 5}, "to 32, 16, 8, 4 bits, .* got 5"),
        ({"skip": ["1"]}, "no such layer; layers: 0, 3"),
        ({"method": "best"}, "expected one of minmax"),
    ],
    ids=["bits", "skip", "method"],
)
def test_mistakes_say_what_was_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises((FormatError, ModelError), match=message):
        ts.quantize(model(), [torch.rand(1, 4, 9, 9)], **options)  # type: ignore[arg-type]


def test_without_data_there_is_nothing_to_look_at() -> None:
    with pytest.raises(FormatError, match="needs sample inputs"):
        ts.quantize(model(), [])


def test_samples_are_read_from_files_of_numpy(tmp_path: Path) -> None:
    one, two = np.zeros((3, 1, 4)), np.ones((3, 2))
    np.save(tmp_path / "one.npy", one)
    np.savez(tmp_path / "both.npz", one, two)
    assert [len(item) for item in samples.load(tmp_path / "one.npy")] == [1, 1, 1]
    assert [item[1].shape for item in samples.load(tmp_path / "both.npz")] == [(2,)] * 3
    np.savez(tmp_path / "odd.npz", one, two[:2])
    with pytest.raises(InputError, match="equally many samples"):
        samples.load(tmp_path / "odd.npz")
    with pytest.raises(InputError, match="cannot read the samples"):
        samples.load(tmp_path / "missing.npy")
