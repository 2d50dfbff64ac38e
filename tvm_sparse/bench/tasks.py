"""The layers of the bench as tasks of tuning, for databases that cover them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import tvm

from tvm_sparse.bench import layers, networks
from tvm_sparse.frontend import import_model
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tuning.extract import extract, merged
from tvm_sparse.tuning.task import Task


def tasks(
    sets: Sequence[str],
    names: Sequence[str],
    schemes: Sequence[str],
    target: Target,
    limit: int | None = None,
    size: int = 224,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[Task]:
    """Return the tasks of layer sets and of networks, pruned by each of the schemes.

    Parameters
    ----------
    sets : sequence of str
        See `tvm_sparse.bench.layers.layer_set`.
    names : sequence of str
        See `tvm_sparse.bench.networks.names`.
    schemes : sequence of str
        With densities, e.g. ``block-4x1@0.2``.
    target : Target
    limit : int, optional
        Only that many layers of a set.
    size : int
        Height and width of the networks' images.
    progress : callable
        Called with what is being prepared.
    """
    found: list[Task] = []
    for scheme in schemes:
        for name in sets:
            progress(f"preparing {name} {scheme}")
            for mod in _layers(name, Scheme.parse(scheme), limit):
                found.extend(extract(mod, target))
        for name in names:
            progress(f"preparing {name} {scheme}")
            model, image = networks.pruned(name, scheme, size)
            found.extend(extract(import_model(model, (image,), None), target))
    return merged(found)


def _layers(name: str, scheme: Scheme, limit: int | None) -> Iterator[tvm.IRModule]:
    for layer in list(layers.layer_set(name))[:limit]:
        weight, _ = layers.example(layer)
        yield layers.relax_layer(layer, layers.pruned(weight, scheme))
