"""Which real values the bytes of a tensor should cover, told from its values.

Three ways, as in Nagel et al., "A White Paper on Neural Network Quantization", arXiv 2106.08295:
everything that was seen (``minmax``), all but the rarest values (``percentile``), or the range
whose bytes have the smallest mean squared error (``mse``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import FormatError
from tvm_sparse.integer import Bytes

METHODS = ("minmax", "percentile", "mse")
_BINS = 2048
_KEPT = 0.9999  # share of the values inside a percentile's range
_SHARES = np.linspace(0.2, 1.0, 65)  # of the whole range that are tried for the smallest error
_LEAST = 1e-8  # the narrowest range, of tensors that are zero everywhere
Array = npt.NDArray[Any]


class Seen:
    """The values of one tensor: first their extremes, then a histogram between these.

    Parameters
    ----------
    axis : int
        Of its channels, whose means are kept.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.low, self.high = 0.0, 0.0  # zero always has a byte of its own
        self.counts = np.zeros(_BINS, np.int64)
        self._sums: Array = np.zeros(1)
        self._number = 0

    def extremes(self, values: Array) -> None:
        """Note the extremes, and the sums over channels, of one more tensor."""
        self.low = min(self.low, float(values.min(initial=0.0)))
        self.high = max(self.high, float(values.max(initial=0.0)), self.low + _LEAST)
        others = tuple(i for i in range(values.ndim) if i != self.axis % values.ndim)
        self._sums = self._sums + values.sum(axis=others, dtype=np.float64)
        self._number += values.size // values.shape[self.axis]

    def count(self, values: Array) -> None:
        """Count the values of one more tensor; all extremes must be known."""
        self.counts += np.histogram(values, _BINS, (self.low, self.high))[0]

    @property
    def means(self) -> Array:
        """The mean of each channel."""
        return self._sums / max(self._number, 1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How bytes are laid over a range.

    Parameters
    ----------
    method : {"minmax", "percentile", "mse"}
    symmetric : bool
        Whether zero stands in the middle of the bytes.
    """

    method: str = "minmax"
    symmetric: bool = False

    def __post_init__(self) -> None:
        """Check the method."""
        if self.method not in METHODS:
            raise FormatError(
                f"unknown calibration {self.method!r}; expected one of {', '.join(METHODS)}"
            )

    def bytes_of(self, seen: Seen) -> Bytes:
        """Return what the bytes of a tensor stand for."""
        if self.method == "minmax":
            return self._cover(seen.low, seen.high)
        edges = np.linspace(seen.low, seen.high, _BINS + 1)
        centers = (edges[1:] + edges[:-1]) / 2
        if self.method == "percentile":
            below = np.cumsum(seen.counts) / max(seen.counts.sum(), 1)
            rare = (1 - _KEPT) / 2
            first, last = np.searchsorted(below, (rare, 1 - rare))
            return self._cover(min(edges[first], 0.0), max(edges[min(last + 1, _BINS)], 0.0))
        options = [self._cover(seen.low * share, seen.high * share) for share in _SHARES]
        return min(options, key=lambda option: _error(option, centers, seen.counts))

    def _cover(self, low: float, high: float) -> Bytes:
        if self.symmetric:
            return Bytes(scale=max(-low, high, _LEAST) / 127, zero=128)
        scale = max(high - low, _LEAST) / 255
        return Bytes(scale=scale, zero=int(np.rint(-low / scale)))


def _error(given: Bytes, values: Array, counts: Array) -> float:
    """Return the squared error of values that are rounded and clipped to bytes."""
    steps = np.clip(np.rint(values / given.scale), -given.zero, 255 - given.zero)
    return float((counts * (steps * given.scale - values) ** 2).sum())


_FLOOR = 2.0**-10  # of a layer's largest weight: the smallest range of a filter


def weights(weight: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return weights as signed bytes, and the scale of each filter; zeros stay zeros.

    Parameters
    ----------
    weight : array of shape (F, …)

    Returns
    -------
    (int8 array of the same shape, float32 array of shape (F,))
        From -127 to 127. Filters without weights get a small scale of their layer, so that their
        biases are as exact as those of others.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1, initial=0.0)
    floor = max(float(largest.max(initial=0.0)), _LEAST) * _FLOOR
    scale = (np.maximum(largest, floor) / 127).astype(np.float32)
    steps = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), scale
