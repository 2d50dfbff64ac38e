from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

import tvm_sparse as ts
from support import tuning
from tvm_sparse import targets
from tvm_sparse.choose import choose
from tvm_sparse.frontend import import_model
from tvm_sparse.layer import Layer
from tvm_sparse.tile import WindowTile
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.task import task_of


def test_other_patterns_of_the_same_counts_share_a_record() -> None:
    one, other = tuning.task(seed=0), tuning.task(seed=1)
    assert not np.array_equal(one.weight != 0, other.weight != 0)
    assert one.identity == other.identity


def test_equal_shapes_with_other_patterns_do_not_collide() -> None:
    schemes = ("one_by_n-4@0.2", "one_by_n-4@0.1", "one_by_n-8@0.2", "block_punched-4x4@0.2")
    assert len({tuning.task(scheme=scheme).identity for scheme in schemes}) == len(schemes)


def test_other_shapes_do_not_collide() -> None:
    wider = replace(tuning.CONV, input=(1, 15, 14))
    assert tuning.task(wider).identity != tuning.task().identity


def test_layers_that_stay_dense_are_no_tasks() -> None:
    target, weight = targets.load("x86"), tuning.pruned(tuning.CONV, "unstructured@1.0")
    choice = choose(tuning.CONV, weight, target)
    assert task_of(tuning.CONV, weight, target, choice) is None


def test_kernels_without_a_space_are_no_tasks() -> None:
    target, layer = targets.load("x86"), Layer(op="linear", weight=(64, 64), input=(32,), name="d")
    weight = tuning.pruned(layer, "nm-1x4@0.25")
    choice = choose(layer, weight, target)
    if isinstance(choice.kernel.tile, WindowTile):
        assert task_of(layer, weight, target, choice) is None


def test_layers_of_one_kind_are_one_task_of_a_model() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
    model = nn.Sequential(*layers, nn.Conv2d(64, 96, 1)).eval()
    ts.prune(model, {str(i): "one_by_n-4@0.4" for i in range(4)})
    mod = import_model(model, (torch.zeros(1, 64, 14, 14),), None)
    tasks = extract(mod, targets.load("x86"))
    assert [task.layers for task in tasks] == [("0", "1", "2"), ("3",)]
