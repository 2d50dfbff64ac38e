"""Prune torch models, by the methods in `tvm_sparse.pruning.pruners`. Nothing here loads TVM."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tvm_sparse import formats
from tvm_sparse.errors import FormatError, PruningError
from tvm_sparse.pruning import pruners
from tvm_sparse.scheme import Scheme

if TYPE_CHECKING:
    import torch

__all__ = ["fits", "makes", "methods", "needs", "prune", "takes"]


def methods() -> tuple[str, ...]:
    """Return the names of all pruning algorithms, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(pruners.__path__)))


def needs(method: str) -> tuple[str, ...]:
    """Return what a method cannot do without: nothing, ``data`` or ``training``.

    Raises
    ------
    FormatError
        If the method is unknown.
    """
    accepted = _accepted(_algorithm(method))
    return tuple(name for name, p in accepted.items() if p.default is inspect.Parameter.empty)


def takes(method: str) -> tuple[str, ...]:
    """Return the names of all that a method can be given: what it needs, and options.

    Raises
    ------
    FormatError
        If the method is unknown.
    """
    return tuple(_accepted(_algorithm(method)))


def makes(method: str) -> tuple[str, ...]:
    """Return the formats whose zeros a method makes; errors as `needs`."""
    _algorithm(method)
    module = import_module(f"{pruners.__name__}.{method}")
    return tuple(getattr(module, "FORMATS", formats.names()))


def fits(method: str) -> bool:
    """Whether a method fits what is left to the dense layers' outputs; errors as `needs`."""
    _algorithm(method)
    return bool(getattr(import_module(f"{pruners.__name__}.{method}"), "FITS", False))


def prune(
    model: torch.nn.Module,
    plan: str | Scheme | Mapping[str, str | Scheme],
    *,
    method: str = "magnitude",
    **given: Any,
) -> torch.nn.Module:
    """Set weights of a model to exact zeros, in place, and return the model.

    Parameters
    ----------
    model : torch.nn.Module
    plan : str, Scheme or mapping of str to either
        One scheme for every convolution and linear layer that it suits (not for depthwise ones,
        and not for the first and last layer), or a scheme for each named layer.
    method : str
        The algorithm; see `methods`. `exact_obs` and `sparse_gpt` also round the weights of schemes
        of fewer than 32 bits, but not those of a `Plan`: `tvm_sparse.quantize` does it by the same
        plan, to its own scales.
    **given
        What the algorithm needs, and its options: ``data``, batches of inputs to calibrate on
        (`tvm_sparse.pruning.batches`); ``training``, how to train
        (`tvm_sparse.pruning.training.Training`); the rest is named in the algorithm's file.

    Raises
    ------
    FormatError
        If the method, a scheme or a layer's name is unknown, or the method does not make zeros of
        that format.
    PruningError
        If the algorithm lacks something, does not know an option, or cannot prune the model.

    Examples
    --------
    >>> prune(model, "block_punched-8x4@0.25")                               # doctest: +SKIP
    >>> prune(model, {"layer1.conv1": "one_by_n-4@0.2"})                     # doctest: +SKIP
    >>> prune(model, "nm-2x4@0.5", method="exact_obs", data=[images])        # doctest: +SKIP
    >>> prune(model, "one_by_n-4@0.2", method="admm", training=Training(batches=loader))
    ... # doctest: +SKIP
    """
    from tvm_sparse.pruning.layers import resolve

    algorithm = _algorithm(method)
    schemes = resolve(model, plan)
    if hasattr(plan, "precisions"):
        schemes = {name: replace(scheme, bits=32) for name, scheme in schemes.items()}
    _check_formats(method, schemes)
    _check_given(method, algorithm, given)
    algorithm(model, schemes, **given)
    return model


def _algorithm(method: str) -> Callable[..., None]:
    if method not in methods():
        raise FormatError(f"unknown method {method!r}; expected one of {', '.join(methods())}")
    found: Callable[..., None] = import_module(f"{pruners.__name__}.{method}").prune
    return found


def _accepted(algorithm: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """Return what an algorithm takes besides the model and the schemes."""
    return dict(list(inspect.signature(algorithm).parameters.items())[2:])


def _check_formats(method: str, schemes: Mapping[str, Scheme]) -> None:
    made = makes(method)
    for name, scheme in schemes.items():
        if scheme.format not in made:
            raise FormatError(
                f"method {method} makes zeros of format {', '.join(made)}; got {scheme} for layer "
                f"{name}: use another method there, e.g. magnitude"
            )


def _check_given(method: str, algorithm: Callable[..., None], given: Mapping[str, Any]) -> None:
    accepted = _accepted(algorithm)
    for name in needs(method):
        if given.get(name) is None:
            what = {"data": "batches of inputs", "training": "a Training"}.get(name, "a value")
            raise PruningError(f"method {method} needs {name}=…, {what}; none was given")
    for name in given:
        if name not in accepted:
            raise PruningError(
                f"method {method} takes no {name!r}; expected {', '.join(accepted) or 'nothing'}"
            )
