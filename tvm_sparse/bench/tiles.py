"""From which sparsity on skipping zeros beats dense tiles of AMX: by the cost formula alone.

A dense product of tiles is eight times as fast as one of words. Blocks of 4 filters × 4 channels
must therefore be rare before words that skip them are faster; blocks of 16 × 64 are tiles, and
skipping them loses little. No machine is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tvm_sparse import amx, amx_kernel, integer_kernel
from tvm_sparse.amx import SIDE
from tvm_sparse.bench.layers import layer_set
from tvm_sparse.cost import Work
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.words import BYTES, objection, word_layer

_STEPS = 12  # halvings: shares of zeros to a fortieth of a percent
_WORDS = (4, 8)  # filters that share a word, in dense products
_TILES = (SIDE, 2 * SIDE)


@dataclass(frozen=True, kw_only=True)
class Even:
    """What a layer is predicted to take on one core, and where skipping breaks even.

    Parameters
    ----------
    layer : str
    words, tiles : float
        Seconds of the dense products, by VNNI and by AMX.
    of_words, of_tiles : float
        The share of zeros, in blocks of 4 × 4 multiplied by VNNI, and in blocks of 16 × 64
        multiplied by AMX, from which on a product that skips them takes less than dense tiles; 1
        if none does.
    """

    layer: str
    words: float
    tiles: float
    of_words: float
    of_tiles: float


def model_layers(name: str, target: Target, limit: int | None = None) -> list[Even]:
    """Return a row for each layer of a set that can be computed in tiles.

    Parameters
    ----------
    name : str
        See `tvm_sparse.bench.layers.layer_set`.
    target : Target
        With tiles.
    limit : int, optional
        Only the first layers.
    """
    layers = [layer for layer in layer_set(name) if not objection(layer)]
    suited = [layer for layer in layers if amx_kernel.suits(layer, target)]
    return [model(layer, replace(target, cores=1)) for layer in suited[:limit]]


def model(layer: Layer, target: Target) -> Even:
    """Return the row of one layer."""
    words, tiles = partial(_words, layer, target), partial(_tiles, layer, target)
    dense = min(tiles(filters, 0.0) for filters in _TILES)
    return Even(
        layer=layer.name or layer.key,
        words=min(words(filters, 0.0) for filters in _WORDS),
        tiles=dense,
        of_words=even(lambda zeros: words(BYTES, zeros), dense),
        of_tiles=even(lambda zeros: tiles(SIDE, zeros), dense),
    )


def even(seconds: Callable[[float], float], dense: float) -> float:
    """Return the least share of zeros with which a product takes no longer than a dense one."""
    low, high = 0.0, 1.0
    if seconds(high) > dense:
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if seconds(middle) <= dense else (middle, high)
    return high


def _words(layer: Layer, target: Target, filters: int, zeros: float) -> float:
    """Return the seconds of a product of words, a share of whose taps is left out."""
    over = word_layer(layer)
    work = _work(over, filters, over.taps, zeros)
    return integer_kernel.best(over, work, BYTES, target).seconds


def _tiles(layer: Layer, target: Target, filters: int, zeros: float) -> float:
    """Return the seconds of a product of tiles, a share of which is left out."""
    over = word_layer(layer)
    taps = amx.groups(over) * over.taps // over.weight[1]
    return amx_kernel.best(over, _work(over, filters, taps, zeros), BYTES, target).seconds


def _work(layer: Layer, filters: int, taps: int, zeros: float) -> Work:
    blocks = -(-layer.filters // layer.groups // filters) * layer.groups
    return Work(blocks=blocks, taps=max(round((1 - zeros) * blocks * taps), 1), filters=filters)
