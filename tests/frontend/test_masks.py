from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels
from tvm_sparse import formats
from tvm_sparse.errors import ModelError


def model() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(32, 64, 3, padding=1)).eval(), torch.randn(1, 32, 28, 28)


@pytest.mark.parametrize("name", ["0", "0.weight"])
def test_masked_weights_become_zeros(name: str) -> None:
    net, x = model()
    mask = formats.get("block").mask(np.random.default_rng(0).random((64, 32, 3, 3)), 0.2, (8, 1))
    compiled = ts.build(net, example_inputs=(x,), masks={name: torch.from_numpy(mask)})
    with torch.no_grad():
        net[0].weight *= torch.from_numpy(mask)  # type: ignore[index]
    with torch.inference_mode():
        kernels.assert_close(compiled(x), net(x))
    assert compiled.report["0"].is_sparse


def test_masks_of_the_wrong_shape_are_refused() -> None:
    net, x = model()
    with pytest.raises(
        ModelError, match=r"mask of '0' must have its weight's shape \(64, 32, 3, 3"
    ):
        ts.build(net, example_inputs=(x,), masks={"0": np.ones((64, 32))})


def test_masks_of_unknown_layers_are_refused_with_the_known_ones() -> None:
    net, x = model()
    with pytest.raises(ModelError, match="no such layer; layers: 0"):
        ts.build(net, example_inputs=(x,), masks={"conv": np.ones((64, 32, 3, 3))})
