"""What the predictor sees of a layer's kernel: the cost formula's prediction, and its terms."""

from __future__ import annotations

import math

from tvm_sparse.choose import Choice, ways
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel
from tvm_sparse.latency import Epilogue
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.stock import Stock
from tvm_sparse.tile import PanelTile, WindowTile
from tvm_sparse.workgroup import Workgroup

FORMULA = "formula"
"""The term that holds the seconds which the cost formula predicts, more of it being learnt."""


def terms(choice: Choice, weight: Weight, epilogue: Epilogue) -> dict[str, float]:
    """Return numbers that decide how long a layer's kernel takes.

    Parameters
    ----------
    choice : Choice
        How the layer is computed.
    weight : array of shape ``choice.layer.weight``
    epilogue : Epilogue
        What follows in the same kernel.
    """
    layer, kernel, work = choice.layer, choice.kernel, _work(choice, weight)
    batch = layer.input[0] if layer.op == "conv2d" else 1
    image = layer.positions if layer.op == "linear" else batch * layer.input[1] * layer.input[2]
    macs = max(work.taps, 1) * work.filters * layer.positions
    return {
        FORMULA: kernel.seconds,
        "rate": _log(macs / kernel.seconds),
        "dense": _log(choice.dense.seconds / kernel.seconds),
        "seconds": _log(kernel.seconds * 1e9),
        "taps": _log(work.taps),
        "longest": _log(work.taps / max(work.blocks, 1)),
        "shared": float(work.filters),
        "stored": work.taps * work.filters / (layer.filters * layer.taps),
        "weights": _log(work.nbytes),
        "reordered": float(work.reordered),
        **_block(choice.used),
        "positions": _log(layer.positions),
        "channels": _log(layer.channels),
        "filters": _log(layer.filters),
        "window": float(math.prod(layer.kernel)),
        "stride": float(layer.stride[0]),
        "groups": _log(layer.groups),
        "inputs": _log(image * layer.channels),
        "outputs": _log(layer.positions * layer.filters),
        **following(layer, epilogue),
        **_tile(kernel),
    }


def following(layer: Layer, epilogue: Epilogue) -> dict[str, float]:
    """Return the terms of what follows in a layer's kernel."""
    return {
        "read": _log(layer.positions * layer.filters * epilogue.reads),
        "reads": float(epilogue.reads),
        "operators": float(epilogue.operators),
    }


def _block(used: Scheme) -> dict[str, float]:
    """Return the sizes of a block; wide ones read runs of neighbouring inputs."""
    tall, wide = (*used.block, 1, 1)[:2] if used.format != "dense" else (0, 0)
    return {"block height": float(tall), "block width": float(wide)}


def _work(choice: Choice, weight: Weight) -> Work:
    """Return what a kernel multiplies; with a rest, as if the core's format stored all."""
    layer, used = choice.layer, choice.used
    if choice.is_sparse:
        stored = used.format, used.block
        known = choice.ways.rows.get(stored)
        return ways(layer, weight, used).rows[stored] if known is None else known
    taps = layer.filters * layer.taps
    return Work(blocks=layer.filters, taps=taps, filters=1, indexed=False)


def _tile(kernel: Kernel) -> dict[str, float]:
    """Return the register tile, and of which family the kernel is."""
    tile, plane = kernel.tile, kernel.plane
    if isinstance(tile, PanelTile):
        family = 2.0 if isinstance(tile, WindowTile) else 1.0
        return {"family": family, "rows": float(tile.filters), "vectors": float(tile.rows)}
    if isinstance(tile, Workgroup | Stock):
        return {"family": 10.0 if isinstance(tile, Workgroup) else 11.0, **_workgroup(tile)}
    assert plane is not None
    family = 3.0 if tile.parallel == "channels" else 0.0
    family += 4.0 * (kernel.rest is not None) + 5.0 * kernel.by_pattern
    return {
        "family": family,
        "rows": float(tile.filters),
        "vectors": float(tile.vectors),
        "last": tile.last / tile.vectors,
        "tail": float(tile.tail),
        "direct": float(tile.direct),
        "in place": float(tile.in_place),
        "tiles": _log(plane.tiles),
        "length": _log(plane.length),
        "slice": float(tile.slice),
    }


def _workgroup(tile: Workgroup | Stock) -> dict[str, float]:
    """Return the sizes of a GPU's workgroup; none of TVM's own, which are not known."""
    if isinstance(tile, Stock):
        return {}
    return {
        "rows": float(tile.filters),
        "vectors": float(tile.lanes),
        "threads": _log(math.prod(tile.threads)),
        "side by side": _log(tile.blocks),
        "staged": _log(tile.channels),
    }


def _log(value: float) -> float:
    return math.log2(value) if value > 0 else -1.0
