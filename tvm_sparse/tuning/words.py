"""The spaces of integer kernels, which multiply words of four channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from tvm_sparse import integer_kernel
from tvm_sparse.amx import AmxTile
from tvm_sparse.integer_choice import BITS, IntegerChoice, in_blocks
from tvm_sparse.kernel import CHUNK, Kernel
from tvm_sparse.plane import Plane
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile
from tvm_sparse.tuning.tiles import TileSpace
from tvm_sparse.words import word_layer

_ROWS = (4, 8, 16)  # filters of a register tile
_NEAR = 1.3  # times the best predicted time, up to which another space is searched
_MOST = 3  # spaces


@dataclass(frozen=True, kw_only=True)
class WordSpace(TileSpace):
    """As for row blocks, but channels are in no slices; a space for each size of blocks.

    Parameters
    ----------
    layer : Layer
        Over words.
    used, work, target
        See `Space`.
    word : int
        Filters whose results are stored together.
    """

    word: int

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "words"

    @property
    def name(self) -> str:
        """Return e.g. ``words block_punched-8x4``, or ``words dense-8``."""
        return super().name if self.skips else f"{super().name}-{self.work.filters}"

    @property
    def skips(self) -> bool:
        """Whether words without weights are left out."""
        return self.used.format != "dense"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "registers", "plane", "chunk", "direct", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return integer_kernel.best(self.layer, self.work, self.word, self.target)

    def registers(self) -> Iterable[tuple[int, int]]:
        """Return the (filters, vectors) of register tiles."""
        return integer_kernel.register_tiles(self.work.filters, self.target, _ROWS)

    def predicted(self, plane: Plane, tile: Tile) -> float:
        """Return the time in seconds that the formula predicts."""
        return integer_kernel.seconds(plane, tile, self.work, self.target)

    def tile(
        self, plane: Plane, register: int, chunk: int = CHUNK, parallel: int | None = None
    ) -> Tile:
        """Return the cuts around a register tile."""
        filters, vectors = divmod(register, 100)
        by_tiles = None if parallel is None else parallel == 0
        return integer_kernel.tile_of(
            plane, self.work, filters, vectors, self.word, self.target, chunk, by_tiles
        )


def spaces_of(choice: IntegerChoice, target: Target) -> tuple[WordSpace, ...]:
    """Return the spaces of an integer layer, that of the choice first; none for tiles of AMX."""
    if isinstance(choice.kernel.tile, AmxTile):
        return ()
    every = list(_every(choice, target))
    stored = (choice.is_sparse, choice.rows.filters)
    own = next(s for s in every if (s.skips, s.work.filters) == stored)
    others = sorted((s for s in every if s is not own), key=lambda space: space.seconds)
    near = [space for space in others if space.seconds <= _NEAR * own.seconds]
    return (own, *near[: _MOST - 1])


def _every(choice: IntegerChoice, target: Target) -> Iterator[WordSpace]:
    dense, tile = Scheme(format="dense", bits=BITS), choice.kernel.tile
    assert isinstance(tile, Tile)
    for (skips, filters), work in choice.works.items():
        yield WordSpace(
            layer=word_layer(choice.layer),
            used=in_blocks(filters, choice.found.density) if skips else dense,
            work=work,
            target=target,
            word=tile.word,
        )
