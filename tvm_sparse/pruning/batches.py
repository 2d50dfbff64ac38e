"""The data that pruning methods read: batches of inputs, or of inputs and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tvm_sparse.errors import PruningError

Batches = Iterable[Any]
"""A list, a DataLoader, or anything that can be gone through again and again. A batch is a tensor,
or a tuple whose first item is the input: a tensor, or a tuple of the model's several inputs."""


def inputs(data: Batches) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of the model for each batch.

    Raises
    ------
    PruningError
        If there is no batch, or the data can be gone through only once.
    """
    if iter(data) is data:
        raise PruningError(
            "data is read several times, but this is an iterator: give a list of batches, "
            "e.g. list(data), or a DataLoader"
        )
    number = 0
    for batch in data:
        first = batch[0] if isinstance(batch, tuple | list) else batch
        yield tuple(first) if isinstance(first, tuple | list) else (first,)
        number += 1
    if not number:
        raise PruningError("data holds no batch: expected at least one tensor of inputs")


def run(model: torch.nn.Module, data: Batches) -> None:
    """Run a model over all batches, without gradients and without changing whether it trains."""
    with torch.no_grad():
        for arguments in inputs(data):
            model(*arguments)
