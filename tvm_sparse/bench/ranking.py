"""How well the cost model orders kernels of layers that it has not seen, and what that saves.

Each layer of a database is held out in turn. A warm model learns from all the others; a search of
the layer's measured samples is then replayed, batch by batch, with models that start warm and
cold, in the formula's order, and at random. The default kernel takes no part: tuning measures it
before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target
from tvm_sparse.tuning import folder, learning, records, sampling
from tvm_sparse.tuning.learning import Known

Numbers = npt.NDArray[np.float64]

_FEWEST = 16  # samples of a layer that can be ordered well or badly
_BATCH = 8  # samples between two trainings
_CLOSE = 0.95  # of the speed of the best sample
_TOP = 5
_PEAK = 32
_SEEDS = 5  # of cold searches


@dataclass(frozen=True, kw_only=True)
class RankingRow:
    """How one held-out layer's samples were ordered.

    Parameters
    ----------
    layer : str
    samples : int
    pairs : float
        Share of pairs that the warm model orders as measured.
    recall : float
        Share of the five fastest samples among the model's first five.
    peak : float
        Speed of the best among the model's first i samples, relative to the best of all, averaged
        over i from 1 to 32.
    by_formula : float
        Share of pairs that the cost formula orders as measured.
    trials : dict of str to float
        Samples measured until one is within 5 % of the best, on average: ``random``, ``formula``,
        ``cold`` and ``warm``.
    """

    layer: str
    samples: int
    pairs: float
    recall: float
    peak: float
    by_formula: float
    trials: dict[str, float]


def measure_ranking(
    path: Path, target: Target, progress: Callable[[str], None] = lambda stage: None
) -> Iterator[RankingRow]:
    """Hold out each layer of a database in turn.

    Parameters
    ----------
    path : Path
        A database that `tvm_sparse.tune` wrote; layers of fewer than 16 samples only teach.
    target : Target
        What it was tuned for.
    progress : callable
        Called with what runs.

    Raises
    ------
    DatabaseError
        If it is no database, or has fewer than two layers of 16 samples.
    """
    groups = [_merged(group) for group in learning.known(folder.reading(path), target)]
    many = [group for group in groups if len(group.candidates) >= _FEWEST]
    if len(many) < 2:
        raise DatabaseError(
            f"{path} has {len(many)} layers of {_FEWEST} samples or more, expected at least 2: "
            "tune more layers, or with more trials"
        )
    for held_out in many:
        progress(held_out.subject.layer.key)
        yield _row(held_out, [group for group in groups if group is not held_out])


def accuracy(scores: Numbers, seconds: Numbers) -> float:
    """Return the share of pairs of which the faster one has the higher score; 0.5 by chance."""
    first, second = np.triu_indices(len(seconds), 1)
    differ = seconds[first] != seconds[second]
    faster = seconds[first] < seconds[second]
    higher = scores[first] > scores[second]
    return float((faster == higher)[differ].mean()) if differ.any() else 1.0


def recall(scores: Numbers, seconds: Numbers, top: int = _TOP) -> float:
    """Return the share of the fastest samples among as many with the highest scores."""
    found = set(np.argsort(-scores)[:top]) & set(np.argsort(seconds)[:top])
    return len(found) / min(top, len(seconds))


def peak(scores: Numbers, seconds: Numbers, most: int = _PEAK) -> float:
    """Return the average peak: the best relative speed among the first 1, 2, … by score."""
    reached = np.minimum.accumulate(seconds[np.argsort(-scores)][:most])
    return float((seconds.min() / reached).mean())


def trials_at_random(seconds: Numbers) -> float:
    """Return how many samples are drawn on average until one is close to the best."""
    return (len(seconds) + 1) / (int(_close(seconds).sum()) + 1)


def trials_in_order(scores: Numbers, seconds: Numbers) -> int:
    """Return the place, from 1, of the first close sample in the order of scores."""
    return int(np.argmax(_close(seconds)[np.argsort(-scores, kind="stable")])) + 1


def _row(group: Known, others: list[Known]) -> RankingRow:
    seconds = _seconds(group)
    formula = -np.array([_predicted(group, one) for one in group.candidates])
    warm = learning.model(group.subject.target)
    learning.learn(warm, others)
    scores = _scores(warm, group, range(len(seconds)))
    trials = {
        "random": trials_at_random(seconds),
        "formula": float(trials_in_order(formula, seconds)),
        "cold": float(np.mean([_cold(group, seed) for seed in range(_SEEDS)])),
        "warm": float(_searched(warm, group, [])),
    }
    return RankingRow(
        layer=group.subject.layer.key,
        samples=len(seconds),
        pairs=accuracy(scores, seconds),
        recall=recall(scores, seconds),
        peak=peak(scores, seconds),
        by_formula=accuracy(formula, seconds),
        trials=trials,
    )


def _cold(group: Known, seed: int) -> int:
    """Replay a search whose first batches are drawn at random."""
    order = np.random.default_rng(seed).permutation(len(group.candidates))
    model = learning.model(group.subject.target)
    return _searched(model, group, [int(i) for i in order[: 2 * _BATCH]])


def _searched(model: ms.cost_model.XGBModel, group: Known, first: list[int]) -> int:
    """Replay a search; return how many samples it measures until one is close to the best."""
    seconds, close = _seconds(group), _close(_seconds(group))
    seen: list[int] = []
    batch = first
    while not close[seen].any():
        if seen or not first:
            left = [i for i in range(len(seconds)) if i not in set(seen)]
            scores = _scores(model, group, left)
            batch = [left[i] for i in np.argsort(-scores)[:_BATCH]]
        learning.learn(model, [_part(group, batch)])
        seen.extend(batch)
    return seen.index(next(i for i in seen if close[i])) + 1


def _scores(model: ms.cost_model.XGBModel, group: Known, chosen: Iterable[int]) -> Numbers:
    candidates = _part(group, chosen).candidates
    return np.asarray(model.predict(learning.context(group), candidates))


def _part(group: Known, chosen: Iterable[int]) -> Known:
    places = list(chosen)
    return replace(
        group,
        candidates=[group.candidates[i] for i in places],
        results=[group.results[i] for i in places],
    )


def _merged(group: Known) -> Known:
    """Return a group with one result a sample, without the default's and without failures."""
    found: dict[str, tuple[Any, list[float]]] = {}
    for candidate, result in zip(group.candidates, group.results, strict=True):
        sample = sampling.sample_of(candidate.sch)
        time = records.Measured.of(sample, result.run_secs).seconds
        if sample != group.subject.default and np.isfinite(time):
            found.setdefault(str(sample), (candidate, []))[1].append(time)
    return replace(
        group,
        candidates=[candidate for candidate, _ in found.values()],
        results=[ms.runner.RunnerResult([min(times)], None) for _, times in found.values()],
    )


def _seconds(group: Known) -> Numbers:
    return np.array([float(result.run_secs[0]) for result in group.results])


def _predicted(group: Known, candidate: Any) -> float:
    kernel = group.subject.kernel(sampling.sample_of(candidate.sch))
    assert kernel is not None  # others are not known
    return kernel.seconds


def _close(seconds: Numbers) -> npt.NDArray[np.bool_]:
    close: npt.NDArray[np.bool_] = seconds <= seconds.min() / _CLOSE
    return close
