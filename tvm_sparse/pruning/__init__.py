"""Pruning algorithms, one a file. They change torch models and never load TVM."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from tvm_sparse.errors import FormatError
from tvm_sparse.scheme import Scheme

if TYPE_CHECKING:
    import torch

__all__ = ["methods", "prune"]

_NOT_METHODS = {"layers", "masks"}


def methods() -> tuple[str, ...]:
    """Return the names of all pruning algorithms, sorted."""
    return tuple(sorted({m.name for m in pkgutil.iter_modules(__path__)} - _NOT_METHODS))


def prune(
    model: torch.nn.Module,
    plan: str | Scheme | Mapping[str, str | Scheme],
    *,
    method: str = "magnitude",
) -> torch.nn.Module:
    """Set weights of a model to exact zeros, in place, and return the model.

    Parameters
    ----------
    model : torch.nn.Module
    plan : str, Scheme or mapping of str to either
        One scheme for every convolution and linear layer that it suits (not for depthwise ones,
        and not for the first and last layer), or a scheme for each named layer.
    method : str
        The algorithm; see `methods`.

    Raises
    ------
    FormatError
        If the method, a scheme or a layer's name is unknown.

    Examples
    --------
    >>> prune(model, "block_punched-8x4@0.25")            # doctest: +SKIP
    >>> prune(model, {"layer1.conv1": "one_by_n-4@0.2"})  # doctest: +SKIP
    """
    from tvm_sparse.pruning.layers import resolve

    if method not in methods():
        raise FormatError(f"unknown method {method!r}; expected one of {', '.join(methods())}")
    schemes = resolve(model, plan)
    import_module(f"tvm_sparse.pruning.{method}").prune(model, schemes)
    return model
