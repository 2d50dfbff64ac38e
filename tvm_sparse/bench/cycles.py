"""Model the cycles of layers and networks on ARM cores: ours sparse over ours dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import tvm

from tvm_sparse import formats, targets
from tvm_sparse.bench import layers, networks
from tvm_sparse.cycles.cores import core
from tvm_sparse.cycles.costs import peak
from tvm_sparse.cycles.kernels import kernels
from tvm_sparse.cycles.model import model
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes import record
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CycleRow:
    """One modelled case, on one thread.

    Parameters
    ----------
    case, set, scheme : str
        As in `tvm_sparse.bench.run.Row`.
    zeros : float
        Share of zero weights.
    target, core : str
    sparse, dense : float
        Cycles of ours, with and without using the zeros.
    of_peak : float
        Multiply-adds on non-zero weights that ours sparse does in a cycle, as a share of those
        that the core can start.
    inner, dense_inner : float
        The share of that peak in the loop that does most multiply-adds.
    stored : str
        How the compiler stored the weights; ``"dense"`` where it declined to use the zeros.
    number : int
        How often such a layer occurs in its network.
    """

    case: str
    set: str
    scheme: str
    zeros: float
    target: str
    core: str
    sparse: float
    dense: float
    of_peak: float
    inner: float
    dense_inner: float
    stored: str
    number: int = 1

    @property
    def ratio(self) -> float:
        """How many times as long ours dense takes."""
        return self.dense / self.sparse


def model_layers(
    set_name: str,
    schemes: Sequence[str],
    target_names: Sequence[str],
    limit: int | None = None,
    progress: Tell = lambda text: None,
) -> Iterator[CycleRow]:
    """Model every layer of a set, pruned by each of the schemes that suit it.

    Parameters
    ----------
    set_name : str
        See `tvm_sparse.bench.layers.layer_set`.
    schemes : sequence of str
        With densities, e.g. ``one_by_n-4@0.2``.
    target_names : sequence of str
        Packaged profiles, e.g. ``rpi4``.
    limit : int, optional
        Only that many layers.
    progress : callable
        Called with what is being modelled.
    """
    chosen = [Scheme.parse(text) for text in schemes]
    for layer, number in list(layers.layer_set(set_name).items())[:limit]:
        weight, _ = layers.example(layer)
        for target in _targets(target_names):
            progress(f"{layer.name} dense, {target.name}")
            dense = _model(layers.relax_layer(layer, weight), target, sparse=False)
            for scheme in chosen:
                if formats.get(scheme.format).suits(layer.weight, scheme.block):
                    progress(f"{layer.name} {scheme}, {target.name}")
                    left = layers.pruned(weight, scheme)
                    sparse = _model(layers.relax_layer(layer, left), target)
                    row = _row(layer.name, set_name, str(scheme), target, sparse, dense)
                    yield replace(row, number=number)


def model_network(
    name: str,
    schemes: Sequence[str],
    target_names: Sequence[str],
    size: int = 224,
    progress: Tell = lambda text: None,
) -> Iterator[CycleRow]:
    """Model a network pruned by each of the schemes, all of its kernels.

    Parameters
    ----------
    name : str
        See `tvm_sparse.bench.networks.names`.
    schemes, target_names, progress
        As for layers.
    size : int
        Height and width of the image.
    """
    dense: dict[str, _Whole] = {}  # does not depend on the zeros
    for scheme in schemes:
        pruned, image = networks.pruned(name, scheme, size)
        mod = import_model(pruned, (image,), None)
        for target in _targets(target_names):
            progress(f"{name} {scheme}, {target.name}")
            if target.name not in dense:
                dense[target.name] = _model(mod, target, sparse=False)
            yield _row(name, "networks", scheme, target, _model(mod, target), dense[target.name])


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """What all kernels of a model cost together."""

    cycles: float
    inner: float
    macs: float
    zeros: float
    stored: str


def _targets(names: Sequence[str]) -> list[Target]:
    """Return the profiles with one core each: kernels for several are cut in other ways."""
    return [replace(targets.load(name), cores=1) for name in names]


def _model(mod: tvm.IRModule, target: Target, sparse: bool = True) -> _Whole:
    built = kernels(import_model(mod, None, None), target, sparse)
    found = model(built.executable, built.calls, core(target))
    rows = record.read(built.lowered).rows
    weights = sum(row.dense_nbytes for row in rows)
    most = max(found.values(), key=lambda one: one.multiply_adds)
    return _Whole(
        cycles=sum(one.cycles for one in found.values()),
        inner=most.inner_of_peak,
        macs=sum(row.macs * row.density for row in rows),
        zeros=1 - sum(row.dense_nbytes * row.density for row in rows) / weights,
        stored=rows[0].stored if len(rows) == 1 else record.read(built.lowered).summary,
    )


def _row(
    case: str, set_name: str, scheme: str, target: Target, sparse: _Whole, dense: _Whole
) -> CycleRow:
    most = peak(core(target)) * target.lanes * sparse.cycles
    return CycleRow(
        case=case,
        set=set_name,
        scheme=scheme,
        zeros=sparse.zeros,
        target=target.name,
        core=core(target),
        sparse=sparse.cycles,
        dense=dense.cycles,
        of_peak=sparse.macs / most,
        inner=sparse.inner,
        dense_inner=dense.inner,
        stored=sparse.stored,
    )
