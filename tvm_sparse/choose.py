"""Find the pattern of a layer's zeros, and the kernel that makes most of it.

The pattern is found, not declared. The format that describes the zeros in the fewest bytes is a
candidate, so are the single weights, and so is every grouping of filters that stores some zeros in
order to load its inputs once for several filters. The cost formula picks the fastest; if that is
not clearly faster than the dense kernel, the layer stays dense.

A pattern that all but a few weights keep to is one more candidate: a core in the pattern's format,
and the stray weights one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tvm_sparse import formats, kernel, window_kernel, windows
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.formats.split import Split, nearest, split
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, every_filter, join
from tvm_sparse.scheme import Scheme

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_MARGIN = 0.9  # a sparse kernel must be predicted to take at most this share of the dense time
_ALIKE = 1.02  # formats whose bytes differ by less than this describe a pattern equally well
SHARED = (16, 8, 4, 2)  # filters that may share their taps, whatever the pattern
# Where several formats describe a pattern equally well, the first of these names it.
NAMED = (
    *("filter", "channel", "block", "one_by_n", "block_punched"),
    *("periodic", "pattern", "nm", "regrouped", "unstructured"),
)
# What a core may be: formats whose filters share taps. Others gain nothing from losing strays.
_CORES = ("filter", "channel", "block", "one_by_n", "block_punched", "periodic", "regrouped")


Option = tuple[str, Block]  # a format and its block


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A weight as a core that keeps to a pattern, and the rest.

    Parameters
    ----------
    used, rest : Scheme
        How the two are stored.
    core, strays : Work
        What a kernel multiplies for each.
    share : float
        Share of the weights that are apart from the pattern.
    """

    used: Scheme
    rest: Scheme
    core: Work
    strays: Work
    share: float


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How a weight may be stored.

    Parameters
    ----------
    rows : dict of (str, tuple of int) to Work
        Formats and blocks, and what a kernel over row blocks multiplies for each; empty where
        zeros are not used.
    parts : Parts, optional
        In two parts, if few weights keep a pattern from being a core.
    """

    rows: dict[Option, Work] = field(default_factory=dict)
    parts: Parts | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How one layer will be computed, and why.

    Parameters
    ----------
    layer : Layer
    found : Scheme
        The tightest description of the weight's zeros.
    used : Scheme
        How the weight is stored, or its core.
    kernel : Kernel
    dense : Kernel
        What the layer would take with every weight stored.
    reason : str
    rest : Scheme, optional
        How the weights outside of a core are stored.
    ways : Ways
        How else the weight may be stored.
    """

    layer: Layer
    found: Scheme
    used: Scheme
    kernel: Kernel
    dense: Kernel
    reason: str
    rest: Scheme | None = None
    ways: Ways = field(default_factory=Ways, compare=False, repr=False)

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are skipped."""
        return self.used.format != "dense"

    @property
    def is_tuned_dense(self) -> bool:
        """Whether no zeros are skipped, by another kernel than the cost formula likes best."""
        return not self.is_sparse and self.kernel != self.dense

    @property
    def stored(self) -> str:
        """Return e.g. ``block-8x1@0.2/32 + unstructured@0.002/32``."""
        return str(self.used) if self.rest is None else f"{self.used} + {self.rest}"


def choose(layer: Layer, weight: Weight, target: Target) -> Choice:
    """Decide how to compute a layer.

    Parameters
    ----------
    layer : Layer
    weight : float32 array of shape ``layer.weight``
    target : Target
    """
    density = float(np.count_nonzero(weight) / weight.size)
    dense = kernel.dense(layer, target)
    as_dense = Scheme(format="dense")
    if density == 1.0 or layer.depthwise:
        reason = "no zeros" if density == 1.0 else "one channel a filter: nothing to skip"
        return _stay(layer, as_dense, dense, reason)
    found = find(weight)
    known = ways(layer, weight, found)
    option, sparse = min(_candidates(layer, weight, known, target), key=lambda c: c[1].seconds)
    gain = dense.seconds / sparse.seconds
    if sparse.seconds > _MARGIN * dense.seconds:
        reason = f"{1 - density:.0%} zeros as {option[0]} would run {gain:.2f}× as fast as dense"
        return _stay(layer, found, dense, reason, known)
    return _use(layer, found, dense, option, sparse, known)


def stay_dense(layer: Layer, weight: Weight, target: Target) -> Choice:
    """Return the decision to use a layer's zeros not at all, for comparison."""
    zeros = 1 - np.count_nonzero(weight) / weight.size
    reason = f"{zeros:.0%} zeros, not to be used" if zeros else "no zeros"
    return _stay(layer, Scheme(format="dense"), kernel.dense(layer, target), reason)


def candidates(layer: Layer, weight: Weight, target: Target) -> list[Choice]:
    """Return every way to compute a layer that `choose` compares, the dense one first."""
    found, dense = find(weight), kernel.dense(layer, target)
    known = Ways() if layer.depthwise else ways(layer, weight, found)
    options = _candidates(layer, weight, known, target)
    sparse = [_use(layer, found, dense, *option, known) for option in options]
    return [_stay(layer, found, dense, "every weight", known), *sparse]


def find(weight: Weight) -> Scheme:
    """Return the scheme that stores the weight in the fewest bytes.

    Of formats that differ by less than 2 % the first in `NAMED` is taken.
    """
    nonzero = weight != 0
    blocks = {name: formats.get(name).detect(nonzero) for name in NAMED}
    fitting = {name: block for name, block in blocks.items() if block is not None}
    nbytes = {n: formats.get(n).nbytes(nonzero, block) for n, block in fitting.items()}
    fewest = min(nbytes.values())  # any weight fits the unstructured format
    name = next(name for name in fitting if nbytes[name] <= _ALIKE * fewest)
    density = _rounded(np.count_nonzero(nonzero) / weight.size)
    return Scheme(format=name, block=fitting[name], density=density)


def ways(layer: Layer, weight: Weight, found: Scheme) -> Ways:
    """Return the ways in which a weight may be stored, and what each multiplies."""
    options: list[Option] = [(found.format, found.block), ("unstructured", ())]
    options += [("block_punched", (filters, 1)) for filters in SHARED]
    rows = {option: work_of(layer, weight, *option) for option in dict.fromkeys(options)}
    near = nearest(weight, _CORES) if found.format in ("unstructured", "pattern") else None
    return Ways(rows=rows, parts=None if near is None else _parts(layer, weight, near))


def row_blocks(layer: Layer, weight: Weight, used: Scheme, every: bool = False) -> RowBlocks:
    """Return the weight as the row blocks of a scheme, groups one after another.

    With `every`, filters without weights have rows too.
    """
    form, filters = formats.get(used.format), layer.filters // layer.groups
    parts = [form.rows(part, used.block) for part in np.split(weight, layer.groups)]
    return join([every_filter(part, filters) if every else part for part in parts], filters)


def split_up(layer: Layer, weight: Weight, used: Scheme) -> Split:
    """Return the weight as a core for a scheme and a rest, split group by group."""
    parts = [split(part, used.format, used.block) for part in np.split(weight, layer.groups)]
    core, rest = ([getattr(part, name) for part in parts] for name in ("core", "rest"))
    return Split(core=np.concatenate(core), rest=np.concatenate(rest))


def _rounded(density: float) -> float:
    """Return a density that is short to print and never 0."""
    return max(round(float(density), 4), 1e-4)


def _stay(
    layer: Layer, found: Scheme, dense: Kernel, reason: str, known: Ways | None = None
) -> Choice:
    return Choice(
        layer=layer,
        found=found,
        used=Scheme(format="dense"),
        kernel=dense,
        dense=dense,
        reason=reason,
        ways=known or Ways(),
    )


def _use(
    layer: Layer, found: Scheme, dense: Kernel, option: Option, sparse: Kernel, known: Ways
) -> Choice:
    """Return the decision for a sparse kernel."""
    used = Scheme(format=option[0], block=option[1], density=found.density)
    reason, rest = f"predicted {dense.seconds / sparse.seconds:.1f}× as fast as dense", None
    if sparse.rest is not None:
        assert known.parts is not None
        used, rest = known.parts.used, known.parts.rest
        reason += f", {known.parts.share:.1%} of the weights apart from the pattern"
    return Choice(
        layer=layer,
        found=found,
        used=used,
        kernel=sparse,
        dense=dense,
        reason=reason,
        rest=rest,
        ways=known,
    )


def _candidates(
    layer: Layer, weight: Weight, known: Ways, target: Target
) -> list[tuple[Option, Kernel]]:
    kernels = [
        (option, _kernel(layer, weight, *option, work, target))
        for option, work in known.rows.items()
    ]
    if known.parts is None:
        return kernels
    parts = known.parts
    both = kernel.two_parts(layer, parts.core, parts.strays, target)
    return [*kernels, ((parts.used.format, parts.used.block), both)]


def _kernel(
    layer: Layer, weight: Weight, name: str, block: Block, work: Work, target: Target
) -> Kernel:
    """Return the best kernel for a format: kernel patterns and N:M have one of their own."""
    found = [kernel.sparse(layer, work, target)]
    if name == "pattern":
        found.append(kernel.by_patterns(layer, work, block[1], target))
    if name == "nm" and layer.op == "linear":
        slots = windows.slots(weight != 0, target.lanes)
        found += filter(None, [window_kernel.best(layer, slots, target)])
    return min(found, key=lambda kernel: kernel.seconds)


def _parts(layer: Layer, weight: Weight, near: Option) -> Parts:
    """Return a weight as a core in a format, and the rest one by one."""
    used = Scheme(format=near[0], block=near[1])
    split = split_up(layer, weight, used)
    core, single = work_of(layer, split.core, *near), np.count_nonzero(split.rest)
    return Parts(
        used=replace(used, density=_rounded(np.count_nonzero(split.core) / weight.size)),
        rest=Scheme(format="unstructured", density=_rounded(single / weight.size)),
        core=core,
        strays=Work(
            blocks=max(core.blocks * core.filters, layer.filters),
            taps=int(single),
            filters=1,
            reordered=core.reordered,
        ),
        share=split.strays,
    )


def work_of(layer: Layer, weight: Weight, name: str, block: Block) -> Work:
    """Return what a kernel would multiply if the weight were stored in a format."""
    counts = [formats.get(name).count(part, block) for part in np.split(weight, layer.groups)]
    return Work(
        blocks=layer.groups * max(count.blocks for count in counts),
        taps=sum(count.taps for count in counts),
        filters=counts[0].filters,
        reordered=any(count.reordered for count in counts),
    )
