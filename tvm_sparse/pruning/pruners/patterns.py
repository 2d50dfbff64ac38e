"""Kernel patterns from one library for the whole model, then connectivity: weak kernels go.

Every kernel of every layer votes for the pattern of its largest weights, the middle one always
among them; the patterns with most votes are the library. Each kernel gets the pattern that keeps
most of it, and of these the smallest are removed.

Niu et al., "PatDNN: Achieving Real-Time DNN Execution on Mobile Devices with Pattern-based Weight
Pruning", ASPLOS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from tvm_sparse.errors import PruningError
from tvm_sparse.formats import libraries
from tvm_sparse.formats.protocol import Block, Mask, Weight
from tvm_sparse.pruning.pruners.magnitude import keep_best, magnitudes, on_one_scale
from tvm_sparse.scheme import Scheme

FORMATS = ("pattern",)

Kind = tuple[tuple[int, ...], Block]
"""The size of a kernel, e.g. (3, 3), and the positions and patterns of its library."""


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    library: Mask | None = None,
    scope: Literal["layer", "model"] = "layer",
) -> None:
    """Prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    library : bool array of shape (L, Kh · Kw), optional
        The patterns; by default they are extracted from the model.
    scope : {"layer", "model"}
        Whether each layer loses kernels down to its density, or one threshold holds for all.

    Raises
    ------
    PruningError
        If a library is given that the schemes do not describe.
    """
    scores = magnitudes(model, schemes)
    found = extract(model, schemes) if library is None else {}
    for name, scheme in schemes.items():
        patterns = found[_kind(scores[name], scheme)] if library is None else library
        _check(patterns, scores[name], scheme)
        scores[name] = scores[name] * assigned(scores[name], patterns)
    keep_best(model, scores, schemes if scope == "layer" else on_one_scale(scores, schemes))


def extract(model: torch.nn.Module, schemes: Mapping[str, Scheme]) -> dict[Kind, Mask]:
    """Return the library of each kind of kernel, from all named layers that have it.

    Returns
    -------
    dict of Kind to bool array of shape (at most L, Kh · Kw)
    """
    kernels: dict[Kind, list[Weight]] = {}
    middle: dict[Kind, int] = {}
    for name, scores in magnitudes(model, schemes).items():
        kind = _kind(scores, schemes[name])
        kernels.setdefault(kind, []).append(_kernels(scores))
        middle[kind] = libraries.centre(scores.shape)
    return {
        kind: libraries.derive(np.concatenate(found), kind[1], middle[kind])
        for kind, found in kernels.items()
    }


def assigned(scores: Weight, library: Mask) -> Mask:
    """Return the pattern that keeps most of each kernel's score, in the weight's shape."""
    best = (_kernels(scores) @ library.T).argmax(axis=1)
    return np.asarray(library[best].reshape(scores.shape))


def _kernels(scores: Weight) -> Weight:
    return np.asarray(scores.reshape(scores.shape[0] * scores.shape[1], -1).astype(np.float64))


def _kind(scores: Weight, scheme: Scheme) -> Kind:
    return scores.shape[2:], scheme.block


def _check(library: Mask, scores: Weight, scheme: Scheme) -> None:
    k, patterns = scheme.block
    size = int(np.prod(scores.shape[2:]))
    sizes = set(library.sum(axis=1).tolist())
    if library.shape[1] != size or len(library) > patterns or sizes != {k}:
        raise PruningError(
            f"expected at most {patterns} patterns that keep {k} of {size} positions each, got "
            f"{len(library)} that keep {sorted(sizes)} of {library.shape[1]}"
        )
