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


def test_layers_whose_zeros_are_not_used_share_a_record_by_their_shape() -> None:
    target = targets.load("x86")
    found = [
        task_of(choose(tuning.CONV, weight, target), weight, target)
        for weight in (tuning.pruned(tuning.CONV, "unstructured@1.0", seed) for seed in (0, 1))
    ]
    assert found[0].identity == found[1].identity == f"{tuning.CONV.key}; dense"
    assert [space.name for space in found[0].spaces] == ["tiles dense"]


def test_layers_of_one_kind_are_one_task_of_a_model() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
    model = nn.Sequential(*layers, nn.Conv2d(64, 96, 1)).eval()
    ts.prune(model, {str(i): "one_by_n-4@0.4" for i in range(4)})
    mod = import_model(model, (torch.zeros(1, 64, 14, 14),), None)
    tasks = extract(mod, targets.load("x86"))
    assert [task.layers for task in tasks] == [("0", "1", "2"), ("3",)]
