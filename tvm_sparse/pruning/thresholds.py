"""One threshold over all layers: how dense each layer becomes when the weakest boxes go first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.scheme import Scheme


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The weights of a layer that stay or go together.

    Parameters
    ----------
    means : float array of shape (n,)
        The mean score of each group.
    sizes : int array of shape (n,)
        How many weights each keeps; less than its members where the format drops some of them
        anyway (the other positions of a kernel pattern).
    """

    means: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]


def groups(scores: Weight, scheme: Scheme) -> Groups:
    """Return the groups of a layer with their scores, whatever the scheme's density."""
    form = formats.get(scheme.format)
    kept = form.mask(scores, form.limit(scores.shape, scheme.block), scheme.block).reshape(-1)
    number = form.groups(scores.shape, scheme.block).reshape(-1)[kept]
    sizes = np.bincount(number)
    sums = np.bincount(number, scores.reshape(-1)[kept].astype(np.float64))
    return Groups(means=sums[sizes > 0] / sizes[sizes > 0], sizes=sizes[sizes > 0])


def densities(
    scores: Mapping[str, Weight], schemes: Mapping[str, Scheme], threshold: float | None = None
) -> dict[str, float]:
    """Return each layer's density if all groups with scores below one threshold are removed.

    Parameters
    ----------
    scores : mapping of str to array
        Importance of each weight of each layer, on one scale.
    schemes : mapping of str to Scheme
        A format and block for each of these layers.
    threshold : float, optional
        The threshold. By default it is such that over all layers as many weights stay as the
        schemes' densities say.

    Returns
    -------
    dict of str to float
        In (0, 1]: every layer keeps a group at least.
    """
    found = {name: groups(scores[name], scheme) for name, scheme in schemes.items()}
    if threshold is None:
        wanted = sum(scheme.density * scores[name].size for name, scheme in schemes.items())
        threshold = _threshold(list(found.values()), wanted)
    return {
        name: float(max(g.sizes[g.means >= threshold].sum(), g.sizes.min()) / scores[name].size)
        for name, g in found.items()
    }


def _threshold(found: list[Groups], wanted: float) -> float:
    """Return the score of the last group that stays if `wanted` weights stay."""
    means = np.concatenate([g.means for g in found])
    ranked = np.argsort(-means, kind="stable")
    kept = np.cumsum(np.concatenate([g.sizes for g in found])[ranked])
    last = min(int(np.searchsorted(kept, wanted * (1 + 1e-9), side="right")), len(kept)) - 1
    return float(means[ranked[max(last, 0)]])
