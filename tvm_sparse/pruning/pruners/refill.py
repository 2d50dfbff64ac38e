"""Find single weights that matter, then keep the boxes that hold most of them, filled up again.

The single weights are a lottery ticket (or the largest ones, without training). Of each layer as
many weights stay as the ticket has, but in whole boxes: those with the most of the ticket's. What
is filled up gets its early value back. With ``extra``, some more boxes stay (refill+).

Chen et al., "Coarsening the Granularity: Towards Structurally Sparse Lottery Tickets", ICML 2022,
for whole filters; here, for any format.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch

from tvm_sparse import formats
from tvm_sparse.errors import PruningError
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.pruning.pruners import lottery, magnitude
from tvm_sparse.pruning.pruners.lottery import State
from tvm_sparse.pruning.pruners.magnitude import keep_best, magnitudes
from tvm_sparse.pruning.training import Training
from tvm_sparse.scheme import Scheme

_TIE = 1e-3  # what the size of a weight counts beside being in the ticket


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training | None = None,
    share: float = 0.2,
    rewind: State | None = None,
    extra: float = 0.0,
) -> None:
    """Prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
        Their densities are those of the ticket.
    training, share, rewind
        How the ticket is found, see `tvm_sparse.pruning.pruners.lottery`; without training, by
        magnitude in the whole model.
    extra : float
        Share of what the ticket lacks that stays too.

    Raises
    ------
    PruningError
        If `extra` is not in [0, 1].
    """
    if not 0 <= extra <= 1:
        raise PruningError(f"extra is a share in [0, 1] of the removed weights, got {extra}")
    tickets = find_tickets(model, schemes, training, share, rewind)
    keep_best(model, tickets, {n: _filled(tickets[n], s, extra) for n, s in schemes.items()})


def find_tickets(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    training: Training | None,
    share: float,
    rewind: State | None,
) -> dict[str, Weight]:
    """Return for each weight 1 if a ticket of single weights keeps it, and a little for its size.

    The model has its early weights afterwards, and no new zeros.
    """
    start = copy.deepcopy(dict(rewind if rewind is not None else model.state_dict()))
    singles = {n: replace(s, format="unstructured", block=()) for n, s in schemes.items()}
    if training:
        lottery.prune(model, singles, training=training, share=share, rewind=rewind)
    else:
        magnitude.prune(model, singles, scope="model")
    kept = {n: scores != 0 for n, scores in magnitudes(model, schemes).items()}
    lottery.restore(model, start, keep_zeros=False)
    sizes = magnitudes(model, schemes)
    return {n: kept[n] + _TIE * sizes[n] / max(float(sizes[n].max()), 1e-30) for n in schemes}


def _filled(ticket: Weight, scheme: Scheme, extra: float) -> Scheme:
    """Return the scheme with the density of its ticket, and what comes on top."""
    kept = float((ticket >= 1).mean())
    most = formats.get(scheme.format).limit(ticket.shape, scheme.block)
    density = min(kept + extra * (1 - kept), most)
    return replace(scheme, density=max(density, 1 / ticket.size))
