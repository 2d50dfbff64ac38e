"""What is left of a torch model's weights under schemes: pruned, fitted, rounded, each made once.

Methods that fit what is left by least squares lose far less than magnitudes tell, and not alike
everywhere: an error without the fit says little about them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tvm_sparse.planning.rounding import kept, rounded
from tvm_sparse.pruning.compensate import compensate, ridge
from tvm_sparse.pruning.hessians import Hessians
from tvm_sparse.scheme import Scheme

_DAMPING = 1e-3  # as the method `least_squares` has it
_KEPT = 2**29  # bytes of weights that are remembered


class Pruned:
    """Weights under schemes.

    Parameters
    ----------
    weights : mapping of str to tensor
        Dense, by layer, filters first; copies are made.
    hessians : mapping of str to tensor, optional
        Second moments of what layers read, made `regular`. What is left of these layers is fitted
        to the dense one's outputs; of others it stays.
    """

    def __init__(self, weights: Mapping[str, Tensor], hessians: Hessians | None = None) -> None:
        self.dense = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        self._hessians = hessians or {}
        self._made: OrderedDict[tuple[str, Scheme], Tensor] = OrderedDict()
        self._nbytes = 0

    def __call__(self, name: str, scheme: Scheme) -> Tensor:
        """Return a layer's weight under a scheme, on the CPU, of its dtype; not to be written."""
        place = name, scheme
        if place not in self._made:
            self._made[place] = self._make(name, scheme)
            self._nbytes += self._made[place].nbytes
        self._made.move_to_end(place)
        while self._nbytes > _KEPT and len(self._made) > 1:
            self._nbytes -= self._made.popitem(last=False)[1].nbytes
        return self._made[place]

    def _make(self, name: str, scheme: Scheme) -> Tensor:
        weight = self.dense[name]
        keep = torch.from_numpy(kept(weight.numpy(), replace(scheme, bits=32)))
        left = weight.masked_fill(~keep, 0.0)
        if name in self._hessians and not keep.all():
            hessian = self._hessians[name]
            left = compensate(weight.flatten(1), keep.flatten(1), hessian).reshape(weight.shape)
        return torch.from_numpy(rounded(left.numpy(), scheme.bits))


def regular(hessians: Hessians) -> Hessians:
    """Return second moments that weights can be fitted by; those given are overwritten.

    Parameters
    ----------
    hessians : mapping of str to tensor
        As `tvm_sparse.pruning.hessians.collect` returns them.
    """
    return {name: hessian.add_(ridge(hessian, _DAMPING)) for name, hessian in hessians.items()}
