"""Find the pattern of a layer's zeros, and the kernel that makes most of it.

The pattern is found, not declared. The format that describes the zeros in the fewest bytes is a
candidate, so are the single weights, and so is every grouping of filters that stores some zeros in
order to load its inputs once for several filters. The cost formula picks the fastest; if that is
not clearly faster than the dense kernel, the layer stays dense.

A pattern that all but a few weights keep to is one more candidate: a core in the pattern's format,
and the stray weights one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """

    layer: Layer
    found: Scheme
    used: Scheme
    kernel: Kernel
    dense: Kernel
    reason: str
    rest: Scheme | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are skipped."""
        return self.used.format != "dense"

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
    best = min(_candidates(layer, weight, found, target), key=lambda c: c[1].seconds)
    (name, _), sparse = best
    gain = dense.seconds / sparse.seconds
    if sparse.seconds > _MARGIN * dense.seconds:
        reason = f"{1 - density:.0%} zeros as {name} would run {gain:.2f}× as fast as dense"
        return _stay(layer, found, dense, reason)
    return _use(layer, weight, found, dense, *best)


def stay_dense(layer: Layer, weight: Weight, target: Target) -> Choice:
    """Return the decision to use a layer's zeros not at all, for comparison."""
    zeros = 1 - np.count_nonzero(weight) / weight.size
    reason = f"{zeros:.0%} zeros, not to be used" if zeros else "no zeros"
    return _stay(layer, Scheme(format="dense"), kernel.dense(layer, target), reason)


def candidates(layer: Layer, weight: Weight, target: Target) -> list[Choice]:
    """Return every way to compute a layer that `choose` compares, the dense one first."""
    found, dense = find(weight), kernel.dense(layer, target)
    options = [] if layer.depthwise else _candidates(layer, weight, found, target)
    sparse = [_use(layer, weight, found, dense, *option) for option in options]
    return [_stay(layer, found, dense, "every weight"), *sparse]


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


def ways(layer: Layer, weight: Weight, found: Scheme) -> dict[tuple[str, Block], Work]:
    """Return the formats and blocks in which a weight may be stored, and what each multiplies."""
    options: list[tuple[str, Block]] = [(found.format, found.block), ("unstructured", ())]
    options += [("block_punched", (filters, 1)) for filters in SHARED]
    return {option: _work(layer, weight, *option) for option in dict.fromkeys(options)}


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


def _stay(layer: Layer, found: Scheme, dense: Kernel, reason: str) -> Choice:
    used = Scheme(format="dense")
    return Choice(layer=layer, found=found, used=used, kernel=dense, dense=dense, reason=reason)


def _use(
    layer: Layer,
    weight: Weight,
    found: Scheme,
    dense: Kernel,
    option: tuple[str, Block],
    sparse: Kernel,
) -> Choice:
    """Return the decision for a sparse kernel."""
    used = Scheme(format=option[0], block=option[1], density=found.density)
    reason, rest = f"predicted {dense.seconds / sparse.seconds:.1f}× as fast as dense", None
    if sparse.rest is not None:
        parts = split_up(layer, weight, used)
        used = replace(used, density=_rounded(np.count_nonzero(parts.core) / weight.size))
        density = _rounded(np.count_nonzero(parts.rest) / weight.size)
        rest = Scheme(format="unstructured", density=density)
        reason += f", {parts.strays:.1%} of the weights apart from the pattern"
    return Choice(
        layer=layer,
        found=found,
        used=used,
        kernel=sparse,
        dense=dense,
        reason=reason,
        rest=rest,
    )


def _candidates(
    layer: Layer, weight: Weight, found: Scheme, target: Target
) -> list[tuple[tuple[str, Block], Kernel]]:
    works = ways(layer, weight, found)
    kernels = [
        (option, _kernel(layer, weight, *option, work, target)) for option, work in works.items()
    ]
    near = nearest(weight, _CORES) if found.format in ("unstructured", "pattern") else None
    return kernels if near is None else [*kernels, (near, _two_parts(layer, weight, near, target))]


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


def _two_parts(layer: Layer, weight: Weight, near: tuple[str, Block], target: Target) -> Kernel:
    """Return the kernel for a core in a format, and the rest one by one."""
    parts = split_up(layer, weight, Scheme(format=near[0], block=near[1]))
    core = _work(layer, parts.core, *near)
    rest = Work(
        blocks=max(core.blocks * core.filters, layer.filters),
        taps=int(np.count_nonzero(parts.rest)),
        filters=1,
        reordered=core.reordered,
    )
    return kernel.two_parts(layer, core, rest, target)


def _work(layer: Layer, weight: Weight, name: str, block: Block) -> Work:
    """Count what a kernel would multiply if the weight were stored in a format."""
    counts = [formats.get(name).count(part, block) for part in np.split(weight, layer.groups)]
    return Work(
        blocks=layer.groups * max(count.blocks for count in counts),
        taps=sum(count.taps for count in counts),
        filters=counts[0].filters,
        reordered=any(count.reordered for count in counts),
    )
