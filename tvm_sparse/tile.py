"""How a kernel's loops are cut: the default tile of a layer on a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The cuts of one kernel.

    Parameters
    ----------
    filters : int
        Rows of the register tile.
    vectors : int
        Vectors of positions of the register tile.
    last : int
        Vectors of the last register tile of a tile's positions, at most `vectors`.
    tail : int
        Lanes that the very last vector holds if they are so few that filters stand in lanes for
        them, else 0.
    lanes : int
        Floats in a vector.
    chunk : int
        Rows that are computed before their results are stored, a multiple of `filters`;
        0 for all rows.
    in_place : int
        1 if taps read the input where it stands, see `Plane`.
    direct : int
        1 if register tiles are stored from registers, 0 if a chunk's sums wait in cache.
    paired : int
        1 if taps are multiplied two at a time, see `tvm_sparse.relay_passes.multiply_matrices`.
    word : int
        Rows whose results are stored together: 4 where these are bytes of a word, else 1.
    slice : int
        Input channels whose taps are added up at a time, see `tvm_sparse.slices`; 0 for all.
    rows, run, fold : int
        The plane's tile, see `Plane`.
    parallel : {"tiles", "filters", "channels"}
        What threads divide among themselves.
    strip : int
        Vectors of a strip of rows, when threads divide channels; a register tile then holds a
        vector each of `vectors` strips.
    taps : int
        Taps that are unrolled then; a divisor of a channel's taps.
    op : {"conv2d", "linear"}
    threads : int
        Threads that divide chunks among themselves.
    cuts : tuple of int
        At which chunk each thread begins, and where the last one ends, see `tvm_sparse.shares`;
        empty if all threads take equally many.
    """

    filters: int
    vectors: int
    lanes: int
    chunk: int
    rows: int = 0
    run: int = 0
    fold: int = 0
    last: int = 1
    tail: int = 0
    in_place: int = 0
    direct: int = 0
    paired: int = 0
    word: int = 1
    slice: int = 0
    strip: int = 1
    taps: int = 1
    parallel: str = "tiles"
    op: str = "conv2d"
    threads: int = 1
    cuts: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return e.g. ``8 filters × 3 vectors of 16 positions``."""
        if self.parallel == "channels":
            return f"{self.vectors} vectors of {self.lanes} positions a channel"
        slices = f", {self.slice} channels at a time" if self.slice else ""
        return f"{self.filters} filters × {self.vectors} vectors of {self.lanes} positions{slices}"

    def span(self, length: int) -> int:
        """Return the lanes of the register tiles that cover `length` lanes."""
        step = self.vectors * self.lanes
        return -(-length // step) * step

    def parts(self, length: int) -> list[tuple[tuple[int, int], int]]:
        """Return ((vectors, lanes after them) of a register tile, how many) to cover `length`."""
        whole = self.span(length) // (self.vectors * self.lanes) - 1
        return [((self.vectors, 0), whole), ((self.last - bool(self.tail), self.tail), 1)]

    @property
    def annotation(self) -> dict[str, Any]:
        """The tile as an annotation of a TIR block."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class PanelTile:
    """The cuts of a linear kernel whose filters stand in vector lanes.

    Parameters
    ----------
    filters : int
        Filters of a panel, a multiple of `lanes` (or a power of two below it).
    rows : int
        Rows of the register tile.
    lanes : int
        Floats in a vector.
    parallel : {"panels", "rows"}
        What threads divide among themselves.
    threads : int
        Threads that divide panels among themselves.
    cuts : tuple of int
        At which panel each thread begins, as in `Tile`.
    """

    filters: int
    rows: int
    lanes: int
    parallel: str = "panels"
    threads: int = 1
    cuts: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return e.g. ``4 rows × 32 filters in lanes``."""
        return f"{self.rows} rows × {self.filters} filters in lanes"

    @property
    def annotation(self) -> dict[str, Any]:
        """The tile as an annotation of a TIR block."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class WindowTile(PanelTile):
    """The cuts of a linear kernel whose vector lanes select their inputs, see `tvm_sparse.windows`.

    Parameters
    ----------
    slots : int
        Weights that each filter has in a window.
    step : int
        Windows that are multiplied before the loop over them begins anew.
    permute : str
        LLVM's intrinsic for the selection, see `Target`.
    """

    slots: int
    step: int
    permute: str

    def __str__(self) -> str:
        """Return e.g. ``4 rows × 32 filters in lanes, 8 of 16 inputs selected``."""
        return f"{super().__str__()}, {self.slots} of {self.lanes} inputs selected"


@dataclass(frozen=True, kw_only=True)
class NibbleTile(PanelTile):
    """The cuts of a linear kernel whose weights are codes of four bits, see `tvm_sparse.nibbles`.

    Parameters
    ----------
    group : int
        Words of eight input channels that share a scale.
    code : str
        What the codes stand for.
    permute : str
        LLVM's intrinsic that looks up sixteen codes at once; empty where there is none.
    """

    group: int
    code: str
    permute: str = ""

    def __str__(self) -> str:
        """Return e.g. ``1 rows × 64 filters in lanes, int4 by 64 channels``."""
        return f"{super().__str__()}, {self.code} by {8 * self.group} channels"
