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

from tvm_sparse.stock import Stock
from tvm_sparse.targets import Target
from tvm_sparse.tile import PanelTile
from tvm_sparse.tuning import sampling
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.subject import Subject
from tvm_sparse.workgroup import Workgroup

_DECISIONS = ("slices", "parallel", "unroll", "rest")  # that no size of the kernel tells


@derived_object
class KernelFeatures(ms.feature_extractor.PyFeatureExtractor):
    """Features of the kernels that samples stand for.

    Parameters
    ----------
    target : Target
        What the candidates' tasks are for.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.subjects = {}

    def extract_from(self, context, candidates):
        """Return one row of features for each candidate."""
        subject = self._subject(context.mod)
        samples = (sampling.sample_of(candidate.sch) for candidate in candidates)
        return [tvm.runtime.tensor(features(subject, sample)[None]) for sample in samples]

    def _subject(self, mod):
        name = str(mod["main"].attrs[sampling.SUBJECT])
        if name not in self.subjects:
            self.subjects[name] = sampling.subject_of(mod, self.target)
        return self.subjects[name]


def features(subject: Subject, sample: Sample) -> np.ndarray:
    """Return the features of a sample's kernel, shape (28,), float32."""
    layer, target, kernel = subject.layer, subject.target, subject.kernel(sample)
    work = subject.space(sample.space).work
    tile = kernel.tile
    longest = work.taps / max(work.blocks, 1)
    shared = [
        kernel.seconds / subject.seconds,
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
        *(float(sample.point.get(name, -1)) for name in _DECISIONS),
    ]
    if isinstance(tile, Workgroup | Stock):
        return np.array([*shared, *_sizes(layer, tile)], np.float32)
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


def _sizes(layer, tile):
    """Return the sizes of a GPU's workgroup; of TVM's own, nothing is known."""
    if isinstance(tile, Stock):
        return [-1.0] * 11
    threads = math.prod(tile.threads)
    return [
        tile.filters,
        tile.lanes,
        tile.blocks,
        _log(tile.height),
        _log(tile.width),
        _log(tile.channels),
        _log(threads),
        _log(tile.space(layer)),
        tile.space(layer) / (tile.positions * tile.channels),
        _log(layer.positions / tile.positions),
        tile.filters * tile.lanes,
    ]


def _log(value: float) -> float:
    return math.log2(max(value, 1))
