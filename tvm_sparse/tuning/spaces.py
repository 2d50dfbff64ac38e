"""Which spaces a layer's kernels are sought in: one for each family and way to store the weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tvm_sparse import windows
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel, every_tap
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile
from tvm_sparse.tuning import workgroups
from tvm_sparse.tuning.channels import ChannelSpace
from tvm_sparse.tuning.dense import DensePanelSpace, DenseTileSpace
from tvm_sparse.tuning.nibbles import NibbleSpace
from tvm_sparse.tuning.panels import PanelSpace
from tvm_sparse.tuning.parts import PartsSpace
from tvm_sparse.tuning.patterns import PatternSpace
from tvm_sparse.tuning.space import Space
from tvm_sparse.tuning.tiles import TileSpace
from tvm_sparse.tuning.windows import WindowSpace
from tvm_sparse.tuning.words import WordSpace
from tvm_sparse.tuning.workgroups import StockSpace, WorkgroupSpace

KINDS: dict[str, type[Space]] = {
    "tiles": TileSpace,
    "patterns": PatternSpace,
    "parts": PartsSpace,
    "panels": PanelSpace,
    "windows": WindowSpace,
    "dense tiles": DenseTileSpace,
    "dense panels": DensePanelSpace,
    "channels": ChannelSpace,
    "words": WordSpace,
    "nibbles": NibbleSpace,
    "workgroups": WorkgroupSpace,
    "stock": StockSpace,
}  # by what databases call them

_NEAR = 1.3  # times the best predicted time, up to which another space is searched
_MOST = 3  # spaces


def kind_of(space: Space) -> str:
    """Return the name of a space's kind."""
    return next(name for name, kind in KINDS.items() if kind is type(space))


def spaces_of(choice: Choice, weight: Weight, target: Target) -> tuple[Space, ...]:
    """Return the spaces of a layer, that of the choice first.

    Kernels of all of them read and write the same matrices: a linear layer with positions in lanes
    works on transposed ones. On GPUs there are none where only TVM's own schedule can compute a
    layer.
    """
    if target.is_gpu:
        return workgroups.spaces(choice, weight, target)
    transposed = _has_positions_in_lanes(choice.kernel)
    found = [space for space in _every(choice, weight, target)]
    alike = [space for space in found if _has_positions_in_lanes(space.best) == transposed]
    stored = (choice.used.format, choice.used.block)
    own = next(s for s in alike if _stored(s) == stored and s.best == choice.kernel)
    others = sorted((s for s in alike if s is not own), key=lambda space: space.seconds)
    different: dict[tuple[str, Work], Space] = {}
    for space in (own, *others):
        different.setdefault((space.family, space.work), space)
    near = [s for s in different.values() if s is own or s.seconds <= _NEAR * own.seconds]
    return tuple(near[:_MOST])


def _every(choice: Choice, weight: Weight, target: Target) -> Iterator[Space]:
    """Yield the dense space, and those of each way to store the weight."""
    yield dense_space(choice, target)
    for (name, block), work in choice.ways.rows.items():
        used = replace(choice.found, format=name, block=block)
        yield from _sparse(choice, used, work, weight, target)
    parts = choice.ways.parts
    if parts is not None:
        yield PartsSpace(
            layer=choice.layer, used=parts.used, work=parts.core, target=target, parts=parts
        )


def _sparse(
    choice: Choice, used: Scheme, work: Work, weight: Weight, target: Target
) -> Iterator[Space]:
    layer = choice.layer
    yield TileSpace(layer=layer, used=used, work=work, target=target)
    if used.format == "pattern":
        yield PatternSpace(layer=layer, used=used, work=work, target=target)
    if layer.op == "linear":
        found: list[PanelSpace] = [PanelSpace(layer=layer, used=used, work=work, target=target)]
        if used.format == "nm":
            slots = windows.slots(weight != 0, target.lanes)
            found.append(WindowSpace(layer=layer, used=used, work=work, target=target, slots=slots))
        yield from (space for space in found if any(space.kernels()))


def dense_space(choice: Choice, target: Target) -> Space:
    """Return the space of the kernels that multiply every weight."""
    layer = choice.layer
    kind: type[Space] = DenseTileSpace
    if layer.depthwise:
        kind = ChannelSpace
    elif layer.op == "linear":
        kind = DensePanelSpace
    work = every_tap(layer, choice.dense.tile.filters)
    return kind(layer=layer, used=Scheme(format="dense"), work=work, target=target)


def _has_positions_in_lanes(kernel: Kernel) -> bool:
    return isinstance(kernel.tile, Tile)


def _stored(space: Space) -> tuple[str, tuple[int, ...]]:
    return space.used.format, space.used.block
