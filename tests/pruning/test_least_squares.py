from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from support.pruning import batches, fits, network
from tvm_sparse.pruning.batch_norm import re_estimate
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.watching import columns

NAMES = ("1.conv2", "2.conv1", "2.conv2", "2.shortcut", "5")


def images() -> list[Tensor]:
    return [x for x, _ in batches()]


def read(model: nn.Module, name: str) -> Tensor:
    """What a layer reads, all columns (d, positions)."""
    seen: list[Tensor] = []
    layer = model.get_submodule(name)
    hook = layer.register_forward_pre_hook(lambda m, x: seen.append(columns(m, x[0])[0]))
    with torch.no_grad():
        for x in images():
            model.eval()(x)
    hook.remove()
    return torch.cat(seen, 1)


@pytest.mark.parametrize("name", ["1.conv2", "2.shortcut", "5"])
def test_what_is_left_is_fitted_to_the_dense_outputs(name: str) -> None:
    model = network().eval()
    dense = copy.deepcopy(model)
    first = {"0": "channel@0.5"}  # the layers after it read something else than before
    ts.prune(model, first)
    both = copy.deepcopy(dense)
    ts.prune(
        both, {**first, name: "channel@0.5"}, method="least_squares", data=images(), damping=1e-9
    )
    weight = prunable(both)[name].detach().reshape(len(prunable(both)[name]), -1).double()
    assert fits(both, name, "channel", ())
    kept = (weight != 0).any(0)
    assert float(kept.float().mean()) == 0.5
    calibrated = copy.deepcopy(dense)
    ts.prune(calibrated, first, method="least_squares", data=images(), damping=1e-9)
    for target, source in zip(calibrated.modules(), dense.modules(), strict=True):
        if isinstance(target, nn.BatchNorm2d):  # statistics are estimated at the very end
            target.load_state_dict(source.state_dict())
    x, seen = read(dense, name), read(calibrated, name)
    wanted = prunable(dense)[name].detach().reshape(len(weight), -1).double() @ x
    best = torch.linalg.lstsq(seen[kept].T, wanted.T).solution.T
    residual = (wanted - best @ seen[kept]).norm()
    assert float((wanted - weight @ seen).norm()) == pytest.approx(float(residual), rel=1e-3)


def test_fitted_layers_are_nearer_to_the_dense_model_than_cut_ones() -> None:
    dense = re_estimate(network(), images()).eval()
    plan = dict.fromkeys(NAMES, "channel@0.5")
    cut, fitted = copy.deepcopy(dense), copy.deepcopy(dense)
    ts.prune(cut, plan)
    ts.prune(fitted, plan, method="least_squares", data=images())
    x = torch.cat(images())
    with torch.no_grad():
        wanted = dense(x)
        errors = [float((model.eval()(x) - wanted).norm()) for model in (fitted, cut)]
    assert errors[0] < 0.7 * errors[1]
