"""Integer layers are tuned like those of floats, and compute the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import integers, tuning
from tvm_sparse import targets
from tvm_sparse.frontend import import_model
from tvm_sparse.integer import Bytes
from tvm_sparse.integer_choice import choose
from tvm_sparse.tuning import candidate, folder, records, subject
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.integer_task import IntegerTask, integer_task_of

CASES = {
    "bytes": (tuning.CONV, 0.3),
    "residual": (tuning.POINTWISE, 0.2),
    "floats": (tuning.RAGGED, 0.3),
    "dense": (tuning.POINTWISE, 1.0),
    "depthwise": (tuning.DEPTHWISE, 1.0),
}


def integer_task(name: str) -> IntegerTask:
    (layer, density), target = CASES[name], replace(targets.load("x86"), cores=2)
    given = integers.numbers(layer, density)
    if name == "residual":
        given = replace(given, residual=Bytes(scale=0.03, zero=90))
    if name == "floats":
        given = replace(given, output=None)
    return integer_task_of(choose(given, layer, target), given, target)


@pytest.fixture(params=CASES)
def task(request: pytest.FixtureRequest) -> IntegerTask:
    return integer_task(request.param)


def test_the_default_kernel_is_a_sample(task: IntegerTask) -> None:
    chosen = task.chosen(task.default)
    assert chosen is not None
    assert (chosen.kernel, chosen.used) == (task.choice.kernel, task.choice.used)
    np.testing.assert_array_equal(chosen.rows.values, task.choice.rows.values)
    for decision in task.spaces[0].decisions:
        assert task.default.point[decision.name] in decision.values


def test_samples_stand_for_different_kernels_that_tell_their_decisions(task: IntegerTask) -> None:
    kernels = set()
    for sample in tuning.samples(task, 40):
        space, kernel = task.space(sample.space), task.kernel(sample)
        assert space is not None and kernel is not None
        assert space.point(kernel) == sample.point
        kernels.add((space.name, kernel))
    assert len(kernels) == task.size(40)


def test_samples_compute_the_same_bytes(task: IntegerTask) -> None:
    layer, given = task.choice.layer, task.numbers
    x = integers.inputs(layer)
    residual = None
    if given.residual is not None:
        residual = integers.inputs(integers.output(layer), seed=2)
    expected = integers.reference(layer, x, given, residual)
    (sample,) = tuning.samples(task, 1, seed=3)
    chosen = task.chosen(sample)
    assert chosen is not None
    y = integers.computed(given, x, chosen, task.target, residual)
    np.testing.assert_array_equal(y, expected)


def test_tasks_are_told_apart_by_what_is_stored_and_skipped_and_not_by_where_zeros_stand() -> None:
    tasks = [integer_task(name) for name in CASES]
    assert len({task.identity for task in tasks}) == len(CASES)
    one, layer = tasks[0], tasks[0].choice.layer
    for columns, alike in ((slice(None, None, -1), True), (slice(0, 12), False)):
        weight = np.zeros_like(one.numbers.weight)
        weight[:, columns] = one.numbers.weight[:, : 24 if alike else 12]
        given = replace(one.numbers, weight=weight)
        other = integer_task_of(choose(given, layer, one.target), given, one.target)
        assert (other.identity == one.identity) == alike


def test_a_subject_is_written_and_read(task: IntegerTask) -> None:
    again = subject.read(subject.write(task), task.target)
    assert (again.layer, again.spaces) == (task.layer, task.spaces)


def test_candidates_are_timed_if_every_byte_equals_the_defaults(tmp_path: Path) -> None:
    task = integer_task("residual")
    candidate.begin(tmp_path, [task])
    assert min(tuning.timed(tmp_path, task, task.default)) > 0
    (expected,) = tmp_path.glob("*.npy")
    np.save(expected, np.load(expected) ^ 1)
    with pytest.raises(ValueError, match=r"wrong output: 100.0% of its numbers, all must be equal"):
        tuning.timed(tmp_path, task, *tuning.samples(task, 1))


def test_build_uses_what_was_measured_to_be_faster(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 32, 1), nn.ReLU()).eval()
    ts.prune(model, {"0": "block_punched-8x4@0.3"})
    given = ts.quantize(model, [tuning.X])
    (task,) = extract(import_model(given), targets.load("x86"))
    assert isinstance(task, IntegerTask) and task.layers == ("0",)
    (other,) = tuning.samples(task, 1)
    with folder.writing(tmp_path, task.target) as database:
        tuning.record(database, task, task.default, [[2e-5] * records.ROUNDS])
        tuning.record(database, task, other, [[1e-5] * records.ROUNDS])
    compiled = ts.build(given, database=tmp_path)
    (row,) = compiled.report
    assert row.reason == "tuned: 0.01 ms alone, 2.00× as fast as predicted best"
    assert (row.is_integer, row.kernel) == (True, str(task.kernel(other)))
    expected = model(tuning.X).detach()
    assert (compiled(tuning.X) - expected).abs().max() < 0.05 * expected.abs().max()
