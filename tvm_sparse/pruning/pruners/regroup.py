"""Find single weights that matter, and the small dense blocks of filters × taps that hold them.

A lottery ticket of single weights (or the largest ones, without training) is divided into sets of
filters that keep similar taps; each set keeps the taps that most of its filters keep, whole.

Chen et al., "Coarsening the Granularity: Towards Structurally Sparse Lottery Tickets", ICML 2022
(regroup). There, a hypergraph partitioner divides the filters; here, `partition.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tvm_sparse.formats import clusters
from tvm_sparse.formats.protocol import Mask, Weight
from tvm_sparse.pruning import partition
from tvm_sparse.pruning.pruners.lottery import State
from tvm_sparse.pruning.pruners.magnitude import apply
from tvm_sparse.pruning.pruners.refill import find_tickets
from tvm_sparse.pruning.training import Training
from tvm_sparse.scheme import Scheme

FORMATS = ("regrouped",)


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training | None = None,
    share: float = 0.2,
    rewind: State | None = None,
    filters: int = 8,
) -> None:
    """Prune the named layers in place; each keeps as many weights as its ticket.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    training, share, rewind
        How the ticket is found, see `tvm_sparse.pruning.pruners.lottery`; without training, by
        magnitude in the whole model.
    filters : int
        Of a block; the format takes four at least.
    """
    for name, ticket in find_tickets(model, schemes, training, share, rewind).items():
        apply(model, name, blocks(ticket, filters))


def blocks(ticket: Weight, filters: int) -> Mask:
    """Return dense blocks with as many weights as a ticket has, where most of them lie.

    Parameters
    ----------
    ticket : array of shape (F, C, …)
        At least 1 where a weight is in the ticket, less elsewhere; what exceeds 1, or lies above 0
        elsewhere, decides between taps that equally many filters keep.
    filters : int
        Of a block.
    """
    matrix = ticket.reshape(len(ticket), -1)
    sets = partition.partition(matrix >= 1, max(filters, 4))
    keep = clusters.densest(matrix, sets, int((matrix >= 1).sum()))
    return keep.reshape(ticket.shape)
