"""Whole kernels are modelled: exactly their multiply-adds, and what else they execute."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.kernels import weights
from tvm_sparse import targets
from tvm_sparse.bench import layers
from tvm_sparse.cycles.cores import CORES, core
from tvm_sparse.cycles.kernels import Kernels, kernels
from tvm_sparse.cycles.model import Modelled, model
from tvm_sparse.errors import TargetError
from tvm_sparse.frontend import import_model
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

LAYER = Layer(op="conv2d", weight=(32, 48, 1, 1), input=(1, 8, 16))
PRUNED = layers.pruned(weights(LAYER), Scheme.parse("one_by_n-4@0.25"))
POSITIONS, LANES = 8 * 16, 4


def modelled(board: str, sparse: bool = True) -> Modelled:
    target = dataclasses.replace(targets.load(board), cores=1)
    built = kernels(layers.relax_layer(LAYER, PRUNED), target, sparse)
    (found,) = model(built.executable, built.calls, core(target)).values()
    return found


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
@pytest.mark.parametrize("board", ["rpi3", "rpi4"])
def test_a_sparse_kernel_multiplies_each_weight_once_for_every_vector(board: str) -> None:
    found = modelled(board)
    assert found.multiply_adds == np.count_nonzero(PRUNED) * POSITIONS / LANES
    assert found.cycles > found.multiply_adds / found.peak


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_skipping_three_quarters_of_the_weights_saves_more_than_half_of_the_cycles() -> None:
    sparse, dense = modelled("rpi4"), modelled("rpi4", sparse=False)
    assert dense.multiply_adds == PRUNED.size * POSITIONS / LANES
    assert 2 < dense.cycles / sparse.cycles < 4


def network() -> Kernels:
    torch.manual_seed(0)
    same = [nn.Conv2d(16, 16, 1, bias=False) for _ in range(2)]
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), *same).eval()
    ts.prune(model, {"1": "one_by_n-4@0.5", "2": "one_by_n-4@0.25"})
    target = dataclasses.replace(targets.load("rpi4"), cores=1)
    return kernels(import_model(model, (torch.zeros(1, 3, 8, 8),), None), target)


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_a_network_is_the_sum_of_its_calls_with_their_own_indices() -> None:
    built = network()
    found = model(built.executable, built.calls, "cortex-a72")
    assert len(built.calls) == 3
    sparse = [one for name, one in found.items() if "sparse" in name]
    assert sum(one.multiply_adds for one in sparse) == (128 + 64) * 64 / LANES
    assert len({call.function for call in built.calls}) == len(found)


def test_only_cores_that_llvm_describes_are_modelled() -> None:
    assert {core(targets.load(name)) for name in ("rpi3", "rpi4", "rpi5", "android")} <= set(CORES)
    with pytest.raises(TargetError, match=r"modelled for cortex-a53.*'armv7' is for cortex-a7"):
        core(targets.load("armv7"))
