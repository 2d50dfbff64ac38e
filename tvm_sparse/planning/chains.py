"""Layers that lose channels together: a layer, the one that it reads, depthwise ones between.

What no filter of the last layer reads is computed for nobody, and `tvm_sparse.relay_passes` removes
it. So the format ``channel`` makes all layers of a chain faster, and a chain is one decision::

    expand 48→288, depthwise 288, project 288→48
    channel@0.33:  project reads 96 channels; dense layers 48→96, depthwise 96, 96→48
    one_by_n-8@0.2: expand and project in blocks of 8 filters, the depthwise layer stays as it is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tvm_sparse.latency import DENSE, Epilogue, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.planning import curves
from tvm_sparse.planning.problem import Option, Slot

CHANNEL = "channel"
_PREDICTED = 4  # densities that are predicted


def disjoint(
    chains: Sequence[Sequence[str]], prunable: Mapping[str, bool]
) -> tuple[tuple[str, ...], ...]:
    """Return the chains, the first ones first, whose ends may be pruned and that share no layer.

    Parameters
    ----------
    chains : sequence of sequence of str
        Names, in the order of execution.
    prunable : mapping of str to bool
        By name, all layers.
    """
    taken: set[str] = set()
    found = []
    for chain in chains:
        ends = all(prunable.get(name, False) for name in (chain[0], chain[-1]))
        if ends and taken.isdisjoint(chain) and all(name in prunable for name in chain):
            taken.update(chain)
            found.append(tuple(chain))
    return tuple(found)


def joined(slots: Sequence[Slot], times: Mapping[float, float]) -> Slot:
    """Return a chain as one slot.

    Parameters
    ----------
    slots : sequence of Slot
        Of its layers. Formats other than ``channel`` are offered where both ends have them.
    times : mapping of float to float
        Seconds of the chain by the density of its channels.
    """
    first, last = slots[0], slots[-1]
    between = [slot.options[0] for slot in slots[1:-1]]
    dense = [slot.options[0] for slot in slots]
    options = [_sum(last.options[0], dense)]
    known = {option.scheme: option for option in first.options}
    for option in last.options[1:]:
        if option.scheme.format == CHANNEL:
            seconds = min(times[option.scheme.density], options[0].seconds)
            options.append(replace(option, seconds=seconds, measured=False))
        elif option.scheme in known:
            options.append(_sum(option, [known[option.scheme], *between, option]))
    return Slot(
        names=tuple(name for slot in slots for name in slot.names),
        layer=last.layer,
        options=tuple(options),
        structured=times,
        chained=tuple(name for slot in slots[:-1] for name in slot.names),
        depthwise=tuple(name for slot in slots[1:-1] for name in slot.names),
    )


def _sum(option: Option, parts: Sequence[Option]) -> Option:
    """Return an option with the times and bytes of all parts."""
    return replace(
        option,
        seconds=sum(part.seconds for part in parts),
        nbytes=sum(part.nbytes for part in parts),
        measured=all(part.measured for part in parts),
    )


def narrower(layers: Sequence[Layer], density: float) -> list[Layer]:
    """Return the layers of a chain with a share of the channels between them."""
    first, *between, last = layers
    left = max(1, round(first.filters * density))
    return [
        replace(first, weight=(left, *first.weight[1:])),
        *(replace(one, weight=(left, *one.weight[1:]), groups=left) for one in between),
        replace(last, weight=(last.weight[0], left, *last.weight[2:])),
    ]


def times(
    layers: Sequence[Layer],
    epilogues: Sequence[Sequence[Epilogue]],
    seconds: float,
    table: LatencyTable,
    densities: Sequence[float],
) -> dict[float, float]:
    """Return the seconds of a chain by the density of its channels.

    Parameters
    ----------
    layers : sequence of Layer
    epilogues : sequence of sequence of Epilogue
        Of each layer, one for each call.
    seconds : float
        Of the whole chain.
    table : LatencyTable
        With a predictor.
    densities : sequence of float
    """

    def predicted(density: float) -> float:
        smaller = zip(narrower(layers, density), epilogues, strict=True)
        return sum(table.latency(one, DENSE, e).seconds for one, calls in smaller for e in calls)

    # Predictions are off alike with few and with all channels: their ratio is what they tell.
    whole = predicted(1.0)
    points = {1.0: seconds}
    for density in curves.anchors(densities, _PREDICTED):
        points[density] = seconds * predicted(density) / whole
    return dict(zip(densities, map(float, curves.times(points, densities)), strict=True))
