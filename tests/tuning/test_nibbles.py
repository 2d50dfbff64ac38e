"""Layers whose weights are codes of four bits are tuned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, tuning
from tvm_sparse import nibble_choice, nibbles, targets
from tvm_sparse.frontend import import_model
from tvm_sparse.tuning import folder, records, subject
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.nibble_task import NibbleTask, nibble_task_of


@pytest.fixture(params=["dense", "listed"])
def task(request: pytest.FixtureRequest) -> NibbleTask:
    layer, target = tuning.RAGGED, replace(targets.load("x86"), cores=2)
    scheme = "one_by_n-16@0.1" if request.param == "listed" else tuning.DENSE
    stored = nibbles.integers(tuning.pruned(layer, scheme), 32)
    return nibble_task_of(nibble_choice.choose(layer, stored, target), target)


def test_the_default_kernel_is_a_sample(task: NibbleTask) -> None:
    chosen = task.chosen(task.default)
    assert chosen is not None
    assert (chosen.kernel, chosen.used) == (task.choice.kernel, task.choice.used)
    again = subject.read(subject.write(task), task.target)
    assert (again.layer, again.spaces) == (task.layer, task.spaces)


def test_samples_compute_the_layer(task: NibbleTask) -> None:
    x = kernels.inputs(task.layer)
    expected = kernels.reference(task.layer, x, task.choice.stored.dense())
    (sample,) = tuning.samples(task, 1)
    chosen, bound = task.chosen(sample), task.implemented(sample)
    assert chosen is not None and bound is not None
    assert task.spaces[0].point(chosen.kernel) == sample.point
    y = kernels.run(task.layer, bound, chosen.kernel, x, task.target)
    kernels.assert_close(y, expected)


def test_build_uses_what_was_measured_to_be_faster(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(96, 64), torch.randn(3, 96)
    model = nn.Sequential(linear).eval()
    given = ts.quantize(model, bits=4, example_inputs=(x,))
    (task,) = extract(import_model(given), targets.load("x86"))
    other = tuning.samples(task, 2)[1]
    with folder.writing(tmp_path, task.target) as database:
        tuning.record(database, task, task.default, [[2e-5] * records.ROUNDS])
        tuning.record(database, task, other, [[1e-5] * records.ROUNDS])
    compiled = ts.build(given, database=tmp_path)
    (row,) = compiled.report
    assert row.reason == "tuned: 0.01 ms alone, 2.00× as fast as predicted best"
    assert row.kernel == str(task.kernel(other))
    codes = nibbles.integers(linear.weight.detach().numpy(), 64)
    expected = x.numpy() @ codes.dense().T + linear.bias.detach().numpy()
    kernels.assert_close(compiled(x).numpy(), expected)
