from __future__ import annotations

import numpy as np
import pytest
import torch

import tvm_sparse as ts
from support.pruning import fits, kept, network
from tvm_sparse.errors import PruningError
from tvm_sparse.formats.protocol import Mask
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.patterns import extract
from tvm_sparse.scheme import Scheme

NAMES = ("1.conv1", "1.conv2", "2.conv1", "2.conv2")


def live(model: torch.nn.Module) -> Mask:
    """The patterns of all kernels that are left, (n, 9)."""
    kernels = [prunable(model)[n].detach().reshape(-1, 9).numpy() != 0 for n in NAMES]
    found = np.concatenate(kernels)
    return np.asarray(found[found.any(axis=1)])


def test_all_layers_share_one_library_and_keep_the_middle() -> None:
    model = network()
    plan = dict.fromkeys(NAMES, "pattern-4x6@0.25")
    library = extract(model, {n: Scheme.parse(s) for n, s in plan.items()})[(3, 3), (4, 6)]
    ts.prune(model, plan, method="patterns")
    found = np.unique(live(model), axis=0)
    assert len(library) == 6
    assert (library.sum(axis=1) == 4).all() and library[:, 4].all()
    assert {tuple(p) for p in found} <= {tuple(p) for p in library}
    for name in NAMES:
        assert kept(model, name) == pytest.approx(0.25, abs=0.01)
        assert fits(model, name, "pattern", (4, 6))


def test_the_library_holds_the_patterns_that_most_kernels_would_choose() -> None:
    model = network()
    scheme = Scheme.parse("pattern-3x2@0.3")
    cross, bar = [4, 1, 7], [4, 3, 5]
    with torch.no_grad():
        for name in NAMES:
            kernels = prunable(model)[name].view(-1, 9)
            kernels[:, 0] *= 1e-3
            kernels[::3, cross] += 5
            kernels[1::3, bar] += 5
    library = extract(model, dict.fromkeys(NAMES, scheme))[(3, 3), (3, 2)]
    assert {tuple(np.nonzero(p)[0].tolist()) for p in library} == {(1, 4, 7), (3, 4, 5)}


def test_weak_kernels_go_first_in_a_layer_or_in_the_model() -> None:
    plan = dict.fromkeys(NAMES, "pattern-4x8@0.2")
    for scope in ("layer", "model"):
        model = network()
        with torch.no_grad():
            prunable(model)["1.conv1"].mul_(0.2)
        ts.prune(model, plan, method="patterns", scope=scope)
        shares = {name: kept(model, name) for name in NAMES}
        assert (shares["1.conv1"] < 0.1) == (scope == "model")
        sizes = {name: prunable(model)[name].numel() for name in NAMES}
        total = sum(shares[n] * sizes[n] for n in NAMES) / sum(sizes.values())
        assert total == pytest.approx(0.2, abs=0.01)


def test_a_library_may_be_given_as_data() -> None:
    library = np.zeros((2, 9), bool)
    library[0, [0, 1, 3, 4]], library[1, [4, 5, 7, 8]] = True, True
    model = network()
    ts.prune(model, dict.fromkeys(NAMES, "pattern-4x2@0.4"), method="patterns", library=library)
    assert {tuple(p) for p in live(model)} == {tuple(p) for p in library}
    with pytest.raises(PruningError, match=r"at most 8 patterns that keep 5 of 9 .* got 2"):
        plan = {"1.conv1": "pattern-5x8@0.4"}
        ts.prune(network(), plan, method="patterns", library=library)
