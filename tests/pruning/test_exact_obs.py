"""Optimal Brain Surgeon against a float64 reference that inverts every Hessian anew."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from tvm_sparse import formats
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning import hessians
from tvm_sparse.pruning.compensate import change, compensate, ridge
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.exact_obs import compressed
from tvm_sparse.pruning.quantize import grid, nearest, quantize
from tvm_sparse.pruning.surgeon import Buckets, trace
from tvm_sparse.scheme import Scheme


def problem(filters: int, taps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random weights, and the Hessian of correlated inputs."""
    torch.manual_seed(seed)
    x = torch.randn(taps, taps, dtype=torch.float64) @ torch.randn(taps, 4 * taps).double()
    return torch.randn(filters, taps, dtype=torch.float64), 2 * (x @ x.T) / x.shape[1]


def fitted(weight: Tensor, kept: list[int], hessian: Tensor) -> Tensor:
    """The least-squares weights on some taps, from the normal equations."""
    out = torch.zeros_like(weight)
    out[:, kept] = weight @ hessian[:, kept] @ torch.linalg.inv(hessian[kept][:, kept])
    return out


def loss(weight: Tensor, other: Tensor, hessian: Tensor) -> float:
    return float(0.5 * ((weight - other) @ hessian * (weight - other)).sum())


def reference(
    weight: Tensor, hessian: Tensor, groups: list[list[int]]
) -> tuple[list[int], list[float]]:
    """Try to remove every group, fit all that is left, and take the best; again and again."""
    removed: list[int] = []
    losses: list[float] = []
    now = 0.0
    for _ in groups:
        found = {}
        for number in range(len(groups)):
            if number not in removed:
                gone = {tap for n in [*removed, number] for tap in groups[n]}
                kept = [tap for tap in range(weight.shape[1]) if tap not in gone]
                found[number] = loss(weight, fitted(weight, kept, hessian), hessian)
        best = min(found, key=lambda n: found[n])
        removed.append(best)
        losses.append(found[best] - now)
        now = found[best]
    return removed, losses


GROUPS = {
    "single weights": [[i] for i in range(9)],
    "neighbours": [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
    "scattered, unequal": [[0, 8], [1], [2, 5, 7], [3, 6], [4]],
}


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("filters", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_trace_is_that_of_a_reference_which_fits_anew(
    groups: list[list[int]], filters: int, seed: int
) -> None:
    weight, hessian = problem(filters, 9, seed)
    widest = max(map(len, groups))
    padded = torch.tensor([group + [-1] * (widest - len(group)) for group in groups])
    found = trace(weight, torch.linalg.inv(hessian), padded)
    order, losses = reference(weight, hessian, groups)
    assert found.order.tolist() == order
    np.testing.assert_allclose(found.losses.numpy(), losses, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_buckets_lose_their_surplus_before_anything_else_goes(seed: int) -> None:
    weight, hessian = problem(1, 8, seed)
    buckets = Buckets(number=torch.arange(8) // 4, surplus=torch.tensor([2, 2]))
    found = trace(weight, torch.linalg.inv(hessian), torch.arange(8)[:, None], buckets)
    removed: list[int] = []
    for _ in range(4):
        left = {
            tap: [t for t in range(8) if t not in [*removed, tap]]
            for tap in range(8)
            if tap not in removed and sum(t // 4 == tap // 4 for t in removed) < 2
        }
        losses = {
            t: loss(weight, fitted(weight, kept, hessian), hessian) for t, kept in left.items()
        }
        removed.append(min(losses, key=lambda t: losses[t]))
    assert found.order[:4].tolist() == removed
    assert found.forced == 4


@pytest.mark.parametrize(
    "text", ["unstructured@0.4", "block-2x3@0.4", "nm-2x4@0.25", "one_by_n-4@0.4"]
)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_is_the_least_squares_solution(text: str, seed: int) -> None:
    weight, hessian = problem(8, 12, seed)
    scheme = Scheme.parse(text)
    after = compressed(weight, hessian[None], scheme)
    for row in range(8):
        kept = after[row].nonzero()[:, 0].tolist()
        expected = fitted(weight[row][None], kept, hessian)[0]
        torch.testing.assert_close(after[row], expected, rtol=1e-6, atol=1e-9)
    assert float((after != 0).double().mean()) == pytest.approx(scheme.density, abs=0.03)


def test_one_threshold_on_the_losses_divides_zeros_among_filters() -> None:
    weight, hessian = problem(6, 8, 0)
    weight[:3] *= 10
    after = compressed(weight, hessian[None], Scheme(format="unstructured", density=0.5))
    kept = (after != 0).sum(dim=1)
    assert kept[:3].min() > kept[3:].max()
    singles = torch.arange(8)[:, None]
    losses = [trace(row[None], torch.linalg.inv(hessian), singles).losses for row in weight]
    gone = max(
        float(v.cummax(0).values[: 8 - int(k)][-1])
        for v, k in zip(losses, kept, strict=True)
        if k < 8
    )
    stays = min(
        float(v.cummax(0).values[8 - int(k)]) for v, k in zip(losses, kept, strict=True) if k
    )
    assert gone <= stays


def test_it_beats_magnitude_with_and_without_the_same_fit() -> None:
    weight, hessian = problem(8, 24, 0)
    scheme = Scheme(format="unstructured", density=0.3)
    keep = torch.tensor(formats.get("unstructured").mask(weight.abs().numpy(), 0.3))
    found = [
        change(weight, other, hessian[None])
        for other in (
            compressed(weight, hessian[None], scheme),
            compensate(weight, keep, hessian[None]),
            weight * keep,
        )
    ]
    assert found[0] < found[1] < found[2]


def naive_quantizer(row: Tensor, hessian: Tensor, scale: float, bits: int) -> Tensor:
    """Fix one weight after the other at its rounded value; fit those that are left."""
    fixed: dict[int, float] = {}
    w = row.clone()
    while len(fixed) < len(row):
        left = [i for i in range(len(row)) if i not in fixed]
        inverse = torch.linalg.inv(hessian[left][:, left])
        errors = nearest(w[left], scale, bits) - w[left]
        costs = errors.square() / inverse.diagonal()
        far = errors.abs() > scale / 2 * (1 + 1e-9)
        at = int((errors.abs() * far).argmax() if far.any() else costs.argmin())
        fixed[left[at]] = float(w[left[at]] + errors[at])
        free, done = [i for i in left if i not in fixed], list(fixed)
        moved = row[done] - torch.tensor([fixed[i] for i in done], dtype=torch.float64)
        w = torch.zeros_like(row)
        w[done] = torch.tensor([fixed[i] for i in done], dtype=torch.float64)
        if free:
            pull = torch.linalg.solve(hessian[free][:, free], hessian[free][:, done] @ moved)
            w[free] = row[free] + pull
    return w


@pytest.mark.parametrize(("bits", "seed"), itertools.product([2, 4], range(4)))
def test_quantized_weights_are_those_of_a_reference_and_on_the_grid(bits: int, seed: int) -> None:
    weight, hessian = problem(2, 10, seed)
    keep = torch.ones_like(weight, dtype=torch.bool)
    keep[1, ::2] = False
    weight = weight * keep
    found = quantize(weight, keep, hessian[None], bits)
    scales = grid(weight, bits)
    for row in range(2):
        taps = keep[row].nonzero()[:, 0]
        expected = naive_quantizer(
            weight[row, taps], hessian[taps][:, taps], float(scales[row]), bits
        )
        torch.testing.assert_close(found[row, taps], expected, rtol=1e-6, atol=1e-9)
    steps = found / scales[:, None]
    torch.testing.assert_close(steps, steps.round())
    assert steps.abs().max() <= 2 ** (bits - 1) - 1
    assert (found[~keep] == 0).all()
    plain = nearest(weight, scales[:, None], bits)
    assert change(weight, found, hessian[None]) < change(weight, plain, hessian[None])


LAYERS = {
    "3×3, stride 2": (nn.Conv2d(6, 8, 3, stride=2, padding=1), (2, 6, 9, 7)),
    "groups, dilation": (
        nn.Conv2d(6, 8, (3, 2), groups=2, dilation=2, padding=(2, 0)),
        (2, 6, 9, 7),
    ),
    "same padding, reflected": (
        nn.Conv2d(4, 8, 3, padding="same", padding_mode="reflect"),
        (2, 4, 6, 6),
    ),
    "signal": (nn.Conv1d(6, 8, 3, padding=2, stride=2), (2, 6, 11)),
    "linear on tokens": (nn.Linear(6, 8), (2, 5, 6)),
}


@pytest.mark.parametrize("which", LAYERS)
def test_the_hessian_tells_how_much_an_output_changes(which: str) -> None:
    torch.manual_seed(0)
    layer, shape = LAYERS[which]
    model, x = nn.Sequential(layer).double(), torch.randn(shape, dtype=torch.float64)
    hessian = hessians.collect(model, ["0"], [x[:1], x[1:]])["0"]
    before, y = prunable(model)["0"].detach().clone(), model(x)
    with torch.no_grad():
        prunable(model)["0"].add_(torch.randn_like(before))
    positions = y.numel() / 8
    expected = float((model(x) - y).detach().square().sum()) / positions
    after = prunable(model)["0"].detach()
    found = change(before.reshape(8, -1), after.reshape(8, -1), hessian)
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_pruned_layer_is_as_near_as_weights_can_be() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8))
    x = torch.randn(16, 4, 8, 8)
    weight = prunable(model)["0"]
    before = weight.detach().reshape(8, -1).double()
    hessian = hessians.collect(model, ["0"], [x])["0"]
    ts.prune(model, {"0": "one_by_n-4@0.5"}, method="exact_obs", data=[x])
    after = weight.detach().reshape(8, -1).double()
    assert formats.get("one_by_n").fits(weight.detach().numpy(), (4,))
    fit = compensate(before, after != 0, hessian + ridge(hessian, 1e-3))
    torch.testing.assert_close(after, fit, rtol=1e-4, atol=1e-5)
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, model[0](x).mean(dim=(0, 2, 3)))


@pytest.mark.parametrize("method", ["exact_obs", "sparse_gpt"])
def test_later_layers_mend_what_earlier_ones_changed(method: str) -> None:
    torch.manual_seed(0)
    sizes = [(16, 32), (32, 32), (32, 8)]
    dense = nn.Sequential(*[m for size in sizes for m in (nn.Linear(*size), nn.ReLU())])
    x, plan, errors = torch.randn(512, 16), dict.fromkeys("024", "one_by_n-4@0.5"), []
    for sequential in (True, False):
        model = copy.deepcopy(dense)
        ts.prune(model, plan, method=method, data=[x], sequential=sequential)
        with torch.no_grad():
            errors.append(float((model(x) - dense(x)).norm()))
    assert errors[0] < 0.9 * errors[1]


def test_sparse_layers_of_few_bits_hold_zeros_and_few_values() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8))
    ts.prune(model, {"0": "nm-2x4@0.5/4"}, method="exact_obs", data=[torch.randn(64, 16)])
    weight = prunable(model)["0"].detach()
    assert formats.get("nm").fits(weight.numpy(), (2, 4))
    assert all(len(row.unique()) <= 15 for row in weight)


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 4)), torch.randn(32, 8)
    x[:, 3] = 0
    ts.prune(model, {"0": "unstructured@0.5"}, method="exact_obs", data=[x])
    weight = prunable(model)["0"]
    assert weight.isfinite().all()
    assert (weight[:, 3] == 0).all()


def test_what_the_calibration_lacks_is_said() -> None:
    model = nn.Sequential(nn.MultiheadAttention(8, 2))
    with pytest.raises(PruningError, match="needs data=…, batches of inputs"):
        ts.prune(model, {"0.in_proj": "unstructured@0.5"}, method="exact_obs")

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

        def forward(self, x: Tensor, key: Tensor) -> Tensor:
            y: Tensor = self.attention(x, key, key)[0]
            return y

    x = torch.randn(3, 1, 8)
    with pytest.raises(PruningError, match="projects a query and another key"):
        hessians.collect(Attention(), ["attention.in_proj"], [((x, x + 1), None)])

    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(PruningError, match="leave it out of the plan"):
        hessians.collect(Unused(), ["unused"], [x])


def test_both_projections_of_an_attention_are_seen() -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).double().eval()
    names = ["self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2"]
    x = torch.randn(4, 5, 8, dtype=torch.float64)
    found = hessians.collect(model, names, [x])
    torch.testing.assert_close(found[names[0]][0], 2 * x.flatten(0, 1).T @ x.flatten(0, 1) / 20)
    before = {name: weight.detach().clone() for name, weight in prunable(model).items()}
    out = model.self_attn.out_proj.weight
    with torch.no_grad():
        y = model.self_attn(x, x, x)[0]
        out.add_(torch.randn_like(out))
        moved = model.self_attn(x, x, x)[0]
    assert change(before[names[1]], out.detach(), found[names[1]]) == pytest.approx(
        float((moved - y).square().sum()) / 20
    )
    ts.prune(model, dict.fromkeys(names, "one_by_n-4@0.5"), method="exact_obs", data=[x])
    for name in names:
        assert float((prunable(model)[name] != 0).double().mean()) == 0.5
