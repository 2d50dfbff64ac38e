"""Whatever surrounds the pruned layers passes through, fast and unharmed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, zoo
from support.naive import naive_loops


@pytest.mark.parametrize("name", zoo.networks())
def test_networks_of_every_kind_equal_torch(name: str) -> None:
    model, shape = zoo.networks()[name]
    wide = {
        layer: "block-4x1@0.25"
        for layer, module in model.eval().named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight[0].numel() > 25
    }
    ts.prune(model, wide)
    x = torch.randn(shape)
    compiled = ts.build(model, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []
