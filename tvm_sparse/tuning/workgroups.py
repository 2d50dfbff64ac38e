"""The spaces of kernels for GPUs: the sizes of a workgroup, and TVM's own schedule beside them.

A sample states a workgroup as it is::

    filters  = sample(1, 2, 4, …)    of a block, whose sums a thread keeps
    blocks   = sample(1, 2, 4, …)    side by side: threads along y
    height   = sample(1, 2, 4, …)    output positions of the tile
    width    = sample(1, 2, 4, …)
    lanes    = sample(1, 2, 4, 8)    neighbouring positions of a thread
    channels = sample(1, 2, 4, …)    staged at a time

All values are powers of two. Which sizes go together is up to the device: how many threads a
workgroup may have, and how much they may share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from tvm_sparse import chunked, workgroup_choice
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.stock import Stock
from tvm_sparse.targets import Target
from tvm_sparse.tuning.space import Decision, Point, Space
from tvm_sparse.workgroup import Workgroup

_MOST = {"filters": 16, "blocks": 32, "height": 16, "width": 128, "lanes": 8, "channels": 64}
_SUMS = 64  # that a thread keeps in registers
_NEAR = 1.6  # times the predicted time of the choice, up to which another space is searched


@dataclass(frozen=True, kw_only=True)
class WorkgroupSpace(Space):
    """The sizes of a workgroup.

    Parameters
    ----------
    taps : tuple of int
        Of all blocks, with each of `chunked.FILTERS` in a block.
    own : Workgroup
        What is predicted to be best.
    """

    taps: tuple[int, ...]
    own: Workgroup

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "workgroups"

    @property
    def name(self) -> str:
        """Return ``workgroups sparse``, or ``workgroups dense`` where zeros are multiplied too."""
        return f"{self.family} {'dense' if self.used.format == 'dense' else 'sparse'}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return tuple(_MOST)

    @cached_property
    def best(self) -> Kernel:
        """The kernel that is predicted to be best."""
        return self._kernel(self.own)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The sizes, those near the predicted best more often: the formula knows no device."""
        return tuple(
            _near(name, getattr(self.own, name), _powers(self._most(name))) for name in self.names
        )

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if its sizes do not fit together, or the device."""
        return None if self.refusal(point) else self._kernel(replace(self.own, **point))

    def refusal(self, point: Point) -> str:
        """Return why a point is no kernel of this layer on this device; empty if it is one."""
        for decision in self.decisions:
            if point[decision.name] not in decision.values:
                return f"{decision.name} must be one of {decision.values}"
        tile = replace(self.own, **point)
        excess = self.target.limits.excess(self.layer, tile)
        if excess:
            return f"the workgroup {tile} {excess} on {self.target.name}"
        if tile.filters * tile.lanes > _SUMS:
            return f"a thread keeps {tile.filters * tile.lanes} sums, of at most {_SUMS}"
        if tile.lanes > tile.width:
            return f"a thread's {tile.lanes} positions exceed a line of {tile.width}"
        return "" if self._divides(tile) else "its blocks reach beyond the filters"

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        sizes = asdict(_workgroup(kernel))
        return {name: sizes[name] for name in self.names}

    def _kernel(self, tile: Workgroup) -> Kernel:
        number = self.taps[chunked.FILTERS.index(tile.filters)]
        return workgroup_choice.over(self.layer, tile, number)

    def _most(self, name: str) -> int:
        """Return the largest size that has a use."""
        layer = self.layer
        rows, columns = (1, layer.positions) if layer.op == "linear" else layer.output[1:]
        sizes = {
            "filters": layer.filters // layer.groups,
            "blocks": layer.filters,
            "height": rows,
            "width": columns,
            "lanes": columns,
            "channels": layer.weight[1],
        }
        return min(_MOST[name], 1 << (sizes[name] - 1).bit_length())

    def _divides(self, tile: Workgroup) -> bool:
        """Whether blocks are whole in each group, and no threads are there for none."""
        own, filters = self.layer.filters // self.layer.groups, tile.filters
        if self.layer.groups > 1:
            return own % (filters * tile.blocks) == 0
        return tile.blocks == 1 or (tile.blocks // 2) * filters < own


@dataclass(frozen=True, kw_only=True)
class StockSpace(Space):
    """TVM's own schedule, with which nothing is decided."""

    family = "stock"
    names = ()
    decisions = ()

    @cached_property
    def best(self) -> Kernel:
        """TVM's own kernel."""
        return workgroup_choice.by_tvm(self.layer)

    def kernel(self, point: Point) -> Kernel | None:
        """Return TVM's own kernel."""
        return self.best

    def point(self, kernel: Kernel) -> Point:
        """Return no decisions."""
        return {}


def spaces(choice: Choice, weight: Weight, target: Target) -> tuple[Space, ...]:
    """Return the spaces of a layer, that of the choice first; none if nothing is to decide."""
    every = list(_every(choice, weight, target))
    if not any(space.decisions for space in every):
        return ()
    own = next(space for space in every if space.best == choice.kernel)
    others = sorted((s for s in every if s is not own), key=lambda space: space.seconds)
    return (own, *(space for space in others if space.seconds <= _NEAR * own.seconds))


def _every(choice: Choice, weight: Weight, target: Target) -> Iterator[Space]:
    layer = choice.layer
    dense = Scheme(format="dense")
    found = chunked.best(layer, weight) if choice.ways.rows else None
    if found is not None:
        used = replace(choice.used, format="block_punched", block=(found[0].filters, 1))
        yield _space(layer, used, chunked.counts(layer, weight), found[0], target)
    whole = chunked.best(layer, weight * 0 + 1)
    if whole is not None:
        counts = [workgroup_choice.taps(layer, filters) for filters in chunked.FILTERS]
        yield _space(layer, dense, counts, whole[0], target)
    if isinstance(choice.dense.tile, Stock):
        work = Work(blocks=layer.filters, taps=layer.filters * layer.taps, filters=1)
        yield StockSpace(layer=layer, used=dense, work=work, target=target)


def _space(
    layer: Layer, used: Scheme, counts: list[int], own: Workgroup, target: Target
) -> WorkgroupSpace:
    taps = counts[chunked.FILTERS.index(own.filters)]
    blocks = -(-layer.filters // own.filters)
    return WorkgroupSpace(
        layer=layer,
        used=used,
        work=Work(blocks=blocks, taps=taps, filters=own.filters),
        target=target,
        taps=tuple(counts),
        own=own,
    )


def _near(name: str, own: int, values: Iterable[int]) -> Decision:
    """Return a decision among sizes: twice or half as much is half as likely."""
    ordered = sorted({own, *values})
    odds = [min(own / value, value / own) for value in ordered]
    return Decision(name=name, values=tuple(ordered), odds=tuple(one / sum(odds) for one in odds))


def _powers(most: int) -> Iterator[int]:
    yield from (1 << n for n in range(most.bit_length()))


def _workgroup(kernel: Kernel) -> Workgroup:
    assert isinstance(kernel.tile, Workgroup)
    return kernel.tile
