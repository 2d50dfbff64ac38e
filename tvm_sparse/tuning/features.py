# mypy: ignore-errors
"""What the cost model sees of a candidate: sizes of the kernel, and its non-zeros.

MetaSchedule's own features count the extents of loops, and lists of taps have none. These are the
terms of our cost formula, and the time it predicts relative to the task's best prediction, which
makes what is learnt of one layer useful for another.
"""

import math

import numpy as np
import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.choose import Choice
from tvm_sparse.tile import PanelTile
from tvm_sparse.tuning import sampling
from tvm_sparse.tuning.task import Task


@derived_object
class KernelFeatures(ms.feature_extractor.PyFeatureExtractor):
    """Features of the kernels that samples stand for.

    Parameters
    ----------
    tasks : list of Task
        Those of which candidates may come.
    """

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__()
        self.tasks = {task.identity: task for task in tasks}

    def extract_from(self, context, candidates):
        """Return one row of features for each candidate."""
        task = self.tasks[sampling.identity_of(context.mod)]
        samples = (sampling.sample_of(candidate.sch) for candidate in candidates)
        rows = [features(task, *_of(task, sample)) for sample in samples]
        return [tvm.runtime.tensor(row[None]) for row in rows]


def _of(task, sample):
    return task.chosen(sample), task.space(sample.space).work


def features(task: Task, choice: Choice, work) -> np.ndarray:
    """Return the features of one kernel, shape (24,), float32."""
    layer, target, kernel = task.layer, task.target, choice.kernel
    tile = kernel.tile
    longest = work.taps / max(work.blocks, 1)
    shared = [
        kernel.seconds / task.choice.kernel.seconds,
        _log(kernel.seconds * 1e9),
        _log(work.taps),
        _log(longest),
        work.filters,
        _log(work.blocks),
        work.taps * work.filters / (layer.filters * layer.taps),
        _log(layer.positions),
        _log(layer.channels),
        layer.kernel[0] * layer.kernel[1],
        layer.stride[0],
        work.nbytes / target.l2,
        float(work.reordered),
    ]
    if isinstance(tile, PanelTile):
        return np.array([*shared, tile.rows, tile.filters, *[-1.0] * 9], np.float32)
    plane = kernel.plane
    packed = 0 if plane.in_place else layer.channels * plane.channel * 4
    span = tile.vectors * tile.lanes * layer.channels * 4
    own = [
        tile.filters,
        tile.vectors,
        tile.last / tile.vectors,
        _log(plane.length),
        plane.tiles,
        float(plane.in_place),
        packed / target.l2,
        span / target.l1,
        _log(tile.chunk or layer.filters),
        float(tile.direct),
        tile.filters * tile.vectors / target.registers,
    ]
    return np.array([*shared, *own], np.float32)


def _log(value: float) -> float:
    return math.log2(max(value, 1))
