"""Remove the boxes of weights with the smallest mean magnitude, layer by layer or over all layers.

Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015,
with a format's boxes in the place of single weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from tvm_sparse import formats
from tvm_sparse.errors import PruningError
from tvm_sparse.formats.protocol import Mask, Weight
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.thresholds import densities
from tvm_sparse.scheme import Scheme


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    scope: Literal["layer", "model"] = "layer",
) -> None:
    """Prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    scope : {"layer", "model"}
        Whether each layer gets its scheme's density, or one threshold holds for all of them and
        only the densities' sum over the weights is kept.

    Raises
    ------
    PruningError
        If the scope is neither.
    """
    if scope not in ("layer", "model"):
        raise PruningError(f"scope of magnitude is 'layer' or 'model', got {scope!r}")
    scores = magnitudes(model, schemes)
    keep_best(model, scores, schemes if scope == "layer" else on_one_scale(scores, schemes))


def magnitudes(model: torch.nn.Module, names: Iterable[str]) -> dict[str, Weight]:
    """Return the absolute weights of the named layers."""
    weights = prunable(model)
    return {name: weights[name].detach().abs().cpu().numpy() for name in names}


def on_one_scale(
    scores: Mapping[str, Weight], schemes: Mapping[str, Scheme], threshold: float | None = None
) -> dict[str, Scheme]:
    """Return the schemes with the densities that one threshold leaves; see `densities`."""
    found = densities(scores, schemes, threshold)
    return {name: replace(scheme, density=found[name]) for name, scheme in schemes.items()}


def keep_best(
    model: torch.nn.Module, scores: Mapping[str, Weight], schemes: Mapping[str, Scheme]
) -> None:
    """Set all weights but those with the best scores to zero, as each layer's format has it."""
    for name, scheme in schemes.items():
        apply(model, name, mask(scores[name], scheme))


def mask(scores: Weight, scheme: Scheme) -> Mask:
    """Return which weights a scheme keeps."""
    return np.array(formats.get(scheme.format).mask(scores, scheme.density, scheme.block))


def apply(model: torch.nn.Module, name: str, keep: Mask) -> None:
    """Set the weights of a layer that are not kept to zero."""
    weight = prunable(model)[name]
    with torch.no_grad():
        weight.masked_fill_(torch.from_numpy(~keep).to(weight.device), 0.0)
