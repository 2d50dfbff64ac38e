"""Remove the boxes of weights with the smallest mean magnitude, layer by layer.

Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015,
with a format's boxes in the place of single weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tvm_sparse import formats
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.scheme import Scheme


def prune(model: torch.nn.Module, schemes: Mapping[str, Scheme]) -> None:
    """Prune the named layers in place."""
    weights = prunable(model)
    for name, scheme in schemes.items():
        weight = weights[name]
        scores = weight.detach().abs().cpu().numpy()
        keep = formats.get(scheme.format).mask(scores, scheme.density, scheme.block)
        with torch.no_grad():
            weight.masked_fill_(torch.from_numpy(~keep).to(weight.device), 0.0)
