"""Remove what is small, then fit what is left to the dense model's outputs by least squares.

Made for input channels (format ``channel``), as in AMC: those with the smallest weights go. Layers
are taken one after the other, so that each fit sees what the layers before it changed: it minimizes
‖W · X - W' · X'‖², X being the dense model's inputs of the layer and X' those that it gets now.
Any kernel size and any other format will do too.

He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017; He et
al., "AMC: AutoML for Model Compression and Acceleration on Mobile Devices", ECCV 2018 (whose code
fits 1×1 kernels only).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tvm_sparse.pruning import calibrated
from tvm_sparse.pruning.batch_norm import re_estimate
from tvm_sparse.pruning.batches import Batches
from tvm_sparse.pruning.compensate import compensate
from tvm_sparse.pruning.pruners.magnitude import magnitudes, mask
from tvm_sparse.scheme import Scheme

FITS = True


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    data: Batches,
    damping: float = 1e-3,
) -> None:
    """Prune the named layers in place, in the model's order.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    data : batches
        Calibration inputs, a few hundred images.
    damping : float
        How much the fit is drawn to the old weights, as a share of the mean of its diagonal.

    Raises
    ------
    PruningError
        If a layer's inputs cannot be seen.
    """
    sizes = magnitudes(model, schemes)
    for layer in calibrated.layers(model, schemes, data, damping, sequential=True):
        keep = torch.from_numpy(mask(sizes[layer.name], schemes[layer.name])).flatten(1)
        layer.write(compensate(layer.target.flatten(1), keep, layer.hessian))
    re_estimate(model, data)
