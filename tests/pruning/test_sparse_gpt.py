from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from tvm_sparse import formats
from tvm_sparse.pruning import hessians
from tvm_sparse.pruning.compensate import change
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.sparse_gpt import compressed
from tvm_sparse.scheme import Scheme


def problem(filters: int, taps: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    x = torch.randn(taps, taps, dtype=torch.float64) @ torch.randn(taps, 4 * taps).double()
    return torch.randn(filters, taps, dtype=torch.float64), 2 * (x @ x.T) / x.shape[1]


def swept(weight: Tensor, keep: Tensor, hessian: Tensor) -> Tensor:
    """Column by column: remove it, and fit the columns right of it with H⁻¹ of what is left."""
    w = weight.clone()
    for column in range(w.shape[1]):
        inverse = torch.linalg.inv(hessian[column:, column:])
        error = torch.where(keep[:, column], 0.0, w[:, column]) / inverse[0, 0]
        w[:, column:] -= error[:, None] * inverse[0]
    return w * keep


@pytest.mark.parametrize("columns", [3, 128])
@pytest.mark.parametrize("text", ["filter@0.5", "periodic-2x2@0.5", "one_by_n-4@0.4", "nm-2x4@0.5"])
def test_the_sweep_is_that_of_a_reference_which_inverts_anew(text: str, columns: int) -> None:
    weight, hessian = problem(8, 20)
    found = compressed(weight, hessian[None], Scheme.parse(text), columns)
    keep = found != 0
    torch.testing.assert_close(found, swept(weight, keep, hessian), rtol=1e-6, atol=1e-9)
    assert not keep.all()


@pytest.mark.parametrize("text", ["unstructured@0.3", "nm-2x4@0.5", "block-4x2@0.3"])
def test_it_beats_magnitude(text: str) -> None:
    weight, hessian = problem(16, 64)
    scheme = Scheme.parse(text)
    form = formats.get(scheme.format)
    keep = torch.tensor(form.mask(weight.abs().numpy(), scheme.density, scheme.block))
    found = compressed(weight, hessian[None], scheme, 16)
    assert form.fits(found.numpy(), scheme.block)
    assert float((found != 0).double().mean()) == pytest.approx(scheme.density, abs=0.02)
    assert change(weight, found, hessian[None]) < change(weight, weight * keep, hessian[None])


def test_later_masks_see_what_earlier_columns_left_behind() -> None:
    weight, hessian = problem(16, 64)
    scheme = Scheme.parse("unstructured@0.3")
    errors = [
        change(weight, compressed(weight, hessian[None], scheme, columns), hessian[None])
        for columns in (8, 64)
    ]
    assert errors[0] != errors[1]


def test_convolution_groups_have_hessians_of_their_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=2)).double()
    x = torch.randn(8, 8, 6, 6, dtype=torch.float64)
    halves = [nn.Sequential(nn.Conv2d(4, 4, 3)).double() for _ in range(2)]
    weight = prunable(model)["0"]
    scheme = "nm-2x4@0.5"
    for half, part in zip(halves, (slice(0, 4), slice(4, 8)), strict=True):
        with torch.no_grad():
            prunable(half)["0"].copy_(weight[part])
        ts.prune(half, {"0": scheme}, method="sparse_gpt", data=[x[:, part]])
    ts.prune(model, {"0": scheme}, method="sparse_gpt", data=[x])
    torch.testing.assert_close(weight, torch.cat([prunable(half)["0"] for half in halves]))


def test_few_bits_leave_zeros_and_few_values_and_less_error_than_rounding_after() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(32, 16)), torch.randn(256, 32) @ torch.randn(32, 32)
    before = prunable(model)["0"].detach().clone()
    hessian = hessians.collect(model, ["0"], [x])["0"]
    ts.prune(model, {"0": "nm-2x4@0.5/3"}, method="sparse_gpt", data=[x])
    after = prunable(model)["0"].detach()
    assert formats.get("nm").fits(after.numpy(), (2, 4))
    assert all(len(row.unique()) <= 7 for row in after)
    scheme = Scheme.parse("nm-2x4@0.5")
    late = compressed(before, hessian, scheme)
    step = late.abs().amax(1, keepdim=True) / 3
    assert change(before, after, hessian) < change(before, (late / step).round() * step, hessian)
