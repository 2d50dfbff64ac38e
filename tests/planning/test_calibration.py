from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from tvm_sparse.planning.cache import Cache
from tvm_sparse.planning.calibration import Stitched, fingerprint, output_errors, weights
from tvm_sparse.planning.pruned import Pruned, regular
from tvm_sparse.pruning.hessians import collect
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.scheme import Scheme

X = torch.randn(6, 4, 9, 9, generator=torch.Generator().manual_seed(0))
SCHEME = Scheme.parse("unstructured@0.3")


class Answers(nn.Module):
    """Keeps what each layer answers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plain = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2, padding="same", dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.signal = nn.Conv1d(8, 6, 3, padding=1)
        self.linear = nn.Linear(25, 5)
        self.answers: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in ("plain", "grouped"):
            x = getattr(self, name)(x)
            self.answers[name] = x.detach()
        x = self.norm(x).flatten(2)
        for name in ("signal", "linear"):
            x = getattr(self, name)(x)
            self.answers[name] = x.detach()
        return x.mean(1)


@pytest.mark.parametrize("name", ["plain", "grouped", "signal", "linear"])
def test_the_error_of_a_layer_is_that_of_its_outputs(name: str) -> None:
    model = Answers().eval()
    model(X)
    dense = model.answers[name]
    bias = getattr(model, name).bias
    if bias is not None:
        shape = (-1,) if name == "linear" else (-1, *(1,) * (dense.ndim - 2))
        dense = dense - bias.detach().reshape(shape)
    error = output_errors(model, X, [name])(name, SCHEME)
    inputs: dict[str, torch.Tensor] = {}
    hook = getattr(model, name).register_forward_pre_hook(lambda m, a: inputs.update(x=a[0]))
    model(X)
    hook.remove()
    ts.prune(model, {name: SCHEME})
    layer = copy.deepcopy(getattr(model, name))
    layer.bias = None
    off = layer(inputs["x"]).detach() - dense
    expected = off.square().sum() / dense.square().sum()
    assert error == pytest.approx(float(expected), rel=1e-4)


def test_the_joint_projection_of_attention_has_an_error_too() -> None:
    model = nn.Sequential(nn.MultiheadAttention(8, 2, batch_first=True))

    class Itself(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model[0]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.inner(x, x, x)[0]
            return found

    error = output_errors(Itself(), torch.randn(2, 5, 8), ["inner.in_proj"])
    assert 0 < error("inner.in_proj", SCHEME) < 1


def test_a_stitched_network_is_the_pruned_one_with_statistics_of_the_batch() -> None:
    model = Answers().eval()
    stitched = Stitched(model, X)
    assert stitched.loss({}) == 0
    loss = stitched.loss({"plain": SCHEME, "linear": SCHEME})
    assert stitched.error("plain", SCHEME) != loss > 0
    assert stitched.loss({"plain": SCHEME, "linear": SCHEME}) == loss
    other = ts.prune(copy.deepcopy(model), {"plain": SCHEME, "linear": SCHEME})
    for one in (model, other):
        one.train()
    with torch.no_grad():
        expected, found = model(X), other(X)
    off = (found - expected).square().sum() / expected.square().sum()
    assert loss == pytest.approx(float(off), rel=1e-5)


def test_a_fit_makes_up_for_what_magnitude_pruning_loses() -> None:
    model = Answers().eval()
    names = ["plain", "grouped", "signal", "linear"]
    hessians = regular(collect(model, names, [X]))
    fitted = Pruned(weights(model), hessians)
    plain, after = (output_errors(model, X, names, one) for one in (None, fitted))
    for name in names:
        assert after(name, SCHEME) < plain(name, SCHEME)
        zeros = fitted(name, SCHEME) == 0
        assert (zeros == (Pruned(weights(model))(name, SCHEME) == 0)).all()
        assert fitted(name, Scheme.parse("dense@1.0/32")) is not prunable(model)[name]
    ts.prune(other := copy.deepcopy(model), {"plain": SCHEME}, method="least_squares", data=[X])
    expected = prunable(other)["plain"].detach()
    torch.testing.assert_close(fitted("plain", SCHEME), expected, rtol=1e-4, atol=1e-6)


def test_a_network_is_stitched_of_fitted_weights() -> None:
    model = Answers().eval()
    fitted = Pruned(weights(model), regular(collect(model, ["plain", "linear"], [X])))
    stitched, schemes = Stitched(model, X, pruned=fitted), {"plain": SCHEME, "linear": SCHEME}
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name in schemes:
            prunable(other)[name].copy_(fitted(name, SCHEME))
        expected, found = model.train()(X), other.train()(X)
    off = (found - expected).square().sum() / expected.square().sum()
    assert stitched.loss(schemes) == pytest.approx(float(off), rel=1e-5) and stitched.loss({}) == 0


def test_weights_are_made_once_and_forgotten_where_memory_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pruned = Pruned(weights(Answers()))
    first = pruned("plain", SCHEME)
    assert pruned("plain", SCHEME) is first
    monkeypatch.setattr("tvm_sparse.planning.pruned._KEPT", 1)
    pruned("linear", SCHEME)
    assert pruned("plain", SCHEME) is not first


def test_accuracies_are_shares_of_right_labels() -> None:
    model = Answers().eval()
    model.train()
    labels = model(X).argmax(1)
    assert Stitched(model, X, labels).accuracy({}) == 1.0


def test_errors_outlast_the_process_and_lines_that_are_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "errors.jsonl"
    first = Cache(path, "one")
    first["conv", "block-4x1@0.5/32"] = 0.25
    Cache(path, "other")["conv", "block-4x1@0.5/32"] = 0.5
    with path.open("a") as file:
        file.write('{"of": "one", "layer"')
    again = Cache(path, "one")
    assert dict(again) == {("conv", "block-4x1@0.5/32"): 0.25}
    again["fc", "dense@1.0/32"] = 0.0
    assert len(Cache(path, "one")) == 2


def test_fingerprints_tell_weights_and_data_apart() -> None:
    model = Answers()
    before = fingerprint(model, X)
    assert fingerprint(model, X) == before != fingerprint(model, X + 1)
    with torch.no_grad():
        prunable(model)["plain"][0, 0, 0, 0] = 0
    assert fingerprint(model, X) != before
