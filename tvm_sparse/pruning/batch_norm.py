"""Estimate the statistics of batch norm anew, after weights were changed without training."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tvm_sparse.pruning.batches import Batches, run


def re_estimate(model: torch.nn.Module, data: Batches) -> torch.nn.Module:
    """Set the running means and variances of all batch norms to those of the data, in place.

    Everything else stays in inference mode, so that dropout takes no part. Frantar and Alistarh,
    "Optimal Brain Compression", NeurIPS 2022, do this after pruning.

    Parameters
    ----------
    model : torch.nn.Module
    data : batches
        Every batch counts alike; a few hundred images are enough.

    Returns
    -------
    torch.nn.Module
        The model.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return model
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    try:
        run(model, data)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
    return model
