"""Layers to be tuned, and records of them that nobody measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tvm
from torch import nn
from tvm.s_tir import meta_schedule as ms

import tvm_sparse as ts
from support import kernels
from tvm_sparse import formats, targets, window_kernel, windows
from tvm_sparse.choose import candidates, choose
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import by_patterns
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.tuning import candidate, sampling
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import LayerTask, Task, task_of

CONV = Layer(op="conv2d", weight=(32, 24, 3, 3), input=(1, 15, 13), padding=(1, 1, 1, 1), name="a")
POINTWISE = Layer(op="conv2d", weight=(64, 64, 1, 1), input=(1, 14, 14), name="b")
MATRIX = Layer(op="linear", weight=(64, 96), input=(1,), name="c")
DEPTHWISE = Layer(
    op="conv2d", weight=(24, 1, 3, 3), input=(1, 15, 13), padding=(1, 1, 1, 1), groups=24, name="d"
)
RAGGED = Layer(op="linear", weight=(70, 40), input=(13,), name="e")
ONCE = ms.runner.EvaluatorConfig(number=1, repeat=2, min_repeat_ms=0)
DENSE = "unstructured@1.0"

X = torch.randn(1, 16, 12, 12, generator=torch.Generator().manual_seed(0))


def model() -> nn.Module:
    """A pruned network of one layer, for inputs like ``X``."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()).eval()
    ts.prune(layers, {"0": "one_by_n-4@0.2"})
    return layers


def pruned(layer: Layer, scheme: str = "one_by_n-4@0.2", seed: int = 0) -> Weight:
    found = Scheme.parse(scheme)
    weight = kernels.weights(layer, seed)
    mask = formats.get(found.format).mask(np.abs(weight), found.density, found.block)
    return np.where(mask, weight, np.float32(0))


def task(layer: Layer = CONV, scheme: str = "", seed: int = 0) -> LayerTask:
    scheme = scheme or ("one_by_n-16@0.1" if layer.op == "linear" else "one_by_n-4@0.2")
    target = replace(targets.load("x86"), cores=1)
    weight = pruned(layer, scheme, seed)
    return task_of(choose(layer, weight, target), weight, target)


def by_pattern() -> LayerTask:
    """A task whose kernel runs pattern by pattern, whether that pays or not."""
    weight, target = pruned(CONV, "pattern-4x8@0.25"), targets.load("x86")
    choice = choose(CONV, weight, target)
    work = choice.ways.rows["pattern", choice.found.block]
    kernel = by_patterns(CONV, work, choice.found.block[1], target)
    return task_of(replace(choice, used=choice.found, kernel=kernel), weight, target)


def in_windows() -> LayerTask:
    """A task whose lanes select their inputs, whether that pays or not."""
    weight, target = pruned(RAGGED, "nm-2x4@0.5"), replace(targets.load("x86"), cores=2)
    choice = choose(RAGGED, weight, target)
    kernel = window_kernel.best(RAGGED, windows.slots(weight != 0, target.lanes), target)
    assert kernel is not None
    return task_of(replace(choice, used=choice.found, kernel=kernel), weight, target)


def in_two_parts() -> LayerTask:
    """A task whose weight is stored as a core and a rest, whether that pays or not."""
    weight, target = pruned(CONV, "block_punched-8x1@0.2"), targets.load("x86")
    weight[::9, ::7, 1, 1] = 0.5
    (choice,) = (way for way in candidates(CONV, weight, target) if way.rest is not None)
    return task_of(choice, weight, target)


def families() -> dict[str, LayerTask]:
    """One small task of each family of kernels, for several cores."""
    cases = {
        "tiles": (CONV, "one_by_n-4@0.2"),
        "single weights": (POINTWISE, "unstructured@0.1"),
        "panels": (MATRIX, "one_by_n-16@0.1"),
        "dense tiles": (CONV, DENSE),
        "dense in place": (POINTWISE, DENSE),
        "dense panels": (RAGGED, DENSE),
        "channels": (DEPTHWISE, DENSE),
    }
    target = replace(targets.load("x86"), cores=2)
    found = {}
    for name, (layer, scheme) in cases.items():
        weight = pruned(layer, scheme)
        found[name] = task_of(choose(layer, weight, target), weight, target)
    return {
        **found,
        "patterns": by_pattern(),
        "parts": in_two_parts(),
        "windows": in_windows(),
    }


def samples(task: Task, number: int, seed: int = 0) -> list[Sample]:
    """Return samples of a task's spaces that fit together, none of them twice, or all there are."""
    number = task.size(number)
    rng = np.random.default_rng(seed)
    found: dict[str, Sample] = {}
    while len(found) < number:
        space = task.spaces[int(rng.integers(len(task.spaces)))]
        point = {d.name: int(rng.choice(d.values)) for d in space.decisions}
        sample = Sample(space=space.name, point=point)
        if task.is_promising(sample):
            found[str(sample)] = sample
    return list(found.values())


def timed(folder: Path, task: Task, sample: Sample) -> list[float]:
    """Build and run a sample in this process; return its times in seconds."""
    mod = sampling.decided(task, sample).mod
    path = candidate.export(candidate.build(folder, mod, None, None))
    library = tvm.runtime.load_module(path)
    return candidate.run(folder, library, tvm.cpu(), ONCE, None)


def record(
    database: ms.database.Database, task: Task, sample: Sample, times: Sequence[float | list[float]]
) -> None:
    """Commit one measurement of a sample a time, in seconds; a list of times is one as well."""
    workload = database.commit_workload(sampling.workload(task))
    trace = sampling.decided(task, sample).trace
    for seconds in times:
        run_secs = seconds if isinstance(seconds, list) else [seconds]
        database.commit_tuning_record(
            ms.database.TuningRecord(trace, workload, run_secs, task.target.to_tvm(), [])
        )


def database(path: str, entries: Iterable[tuple[Task, Sample, Sequence[float]]]) -> None:
    """Write a database with records."""
    opened = ms.database.JSONDatabase(work_dir=path)
    for task, sample, times in entries:
        record(opened, task, sample, times)
