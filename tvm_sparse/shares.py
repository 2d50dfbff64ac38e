"""Divide row blocks among threads so that each multiplies about as much.

Where threads divide the filters of a layer, equally many row blocks are equal work only if their
lists of taps are equally long. Where they are not, each thread gets a run of neighbouring chunks
that ends where its share of all taps does. Nothing moves: weights, sums and outputs stay where they
are, only the bounds of each thread's loop are other ones::

    taps of chunks     10  20  30  40  50  60
    equal numbers      10  20  30 |40  50  60       60 and 150
    equal work         10  20  30  40 |50  60      100 and 110
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tvm_sparse.tile import PanelTile, Tile

Integers = npt.NDArray[np.int64]

_AROUND = 3  # taps in the time of beginning, ending and storing a list
_UNEVEN = 1.04  # of the mean: what the largest share may be without another division


def chunks(tile: Tile, lengths: Integers, filters: int) -> Tile:
    """Return a tile with cuts between threads, and chunks that are small enough for these.

    Parameters
    ----------
    tile : Tile
        Returned as it is if its threads do not divide filters, or have nearly equal shares.
    lengths : int array of shape (B,)
        Taps of each row block.
    filters : int
        Filters of a row block.
    """
    if tile.threads == 1 or tile.parallel != "filters":
        return tile
    work = np.repeat(lengths + _AROUND, filters // tile.filters)
    each = _by_chunk(work, tile.filters, tile.chunk)
    if unevenness(each, equal(len(each), tile.threads)) <= _UNEVEN:
        return tile
    best, least = tile, np.inf
    for chunk in _smaller(tile, len(work), filters):
        each = _by_chunk(work, tile.filters, chunk)
        found = cuts(each, tile.threads)
        if least > _UNEVEN and unevenness(each, found) < least:
            best, least = replace(tile, chunk=chunk, cuts=found), unevenness(each, found)
    return best


def _smaller(tile: Tile, number: int, filters: int) -> list[int]:
    """Return the chunks that `number` register tiles can be cut in, the tile's own first.

    Blocks that fill up the last chunk must not fill one of their own.
    """
    most = tile.chunk // tile.filters
    sizes = [tile.filters * n for n in range(most - 1, 0, -1) if number % n == 0]
    return [tile.chunk, *(size for size in sizes if size >= filters)]


def _by_chunk(work: Integers, filters: int, chunk: int) -> Integers:
    """Return the work of each chunk, of that of each register tile."""
    each: Integers = work.reshape(-1, chunk // filters).sum(axis=1)
    return each


def panels(tile: PanelTile, lengths: Integers) -> PanelTile:
    """Return a tile with the cuts between threads; parameters as `chunks`, a panel is a block."""
    work = lengths + _AROUND
    if tile.threads == 1 or unevenness(work, equal(len(work), tile.threads)) <= _UNEVEN:
        return tile
    return replace(tile, cuts=cuts(work, tile.threads))


def cuts(work: Integers, threads: int) -> tuple[int, ...]:
    """Return where each thread begins, and where the last one ends: ``threads + 1`` numbers.

    A thread's share is at most one element more than the mean, wherever these stand.
    """
    ends = np.concatenate([[0], np.cumsum(work)])
    ideal = ends[-1] * np.arange(threads + 1) / threads
    after = np.searchsorted(ends, ideal)
    before = np.maximum(after - 1, 0)
    nearest = np.where(ideal - ends[before] < ends[after] - ideal, before, after)
    return tuple(int(cut) for cut in nearest)


def equal(number: int, threads: int) -> tuple[int, ...]:
    """Return the cuts of equally many elements for each thread, as TVM's runtime makes them."""
    step = -(-number // threads)
    return tuple(min(thread * step, number) for thread in range(threads + 1))


def unevenness(work: Integers, cuts: tuple[int, ...]) -> float:
    """Return the largest share of a thread as a multiple of the mean."""
    ends = np.concatenate([[0], np.cumsum(work)])
    return float(np.diff(ends[list(cuts)]).max() * (len(cuts) - 1) / max(ends[-1], 1))
