from __future__ import annotations

import pytest
import torch
import tvm
from torch import nn
from tvm.script import relax as R

import tvm_sparse as ts
from tvm_sparse.errors import ModelError
from tvm_sparse.program.read import read


def module(main: object) -> tvm.IRModule:
    return tvm.IRModule({"main": main})


def test_views_share_memory_and_tuples_are_several_outputs() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = torch.relu(x)
            return y.reshape(2, 12), y.exp()

    plan = read(ts.build(Two().eval(), "rpi4", example_inputs=(torch.randn(4, 6),)).mod)
    view, other = plan.outputs
    assert (view.shape, other.shape) == ((2, 12), (4, 6))
    assert view.base is not None
    assert view.home is plan.calls[0].tensors[-1]
    assert other.home is plan.calls[-1].tensors[-1]


def test_a_shape_that_is_not_fixed_is_refused() -> None:
    @R.function
    def main(x: R.Tensor(("n", 4), "float32")) -> R.Tensor(("n", 4), "float32"):  # type: ignore
        return x

    with pytest.raises(ModelError, match=r"x has the type .*needs tensors of fixed shape: fix"):
        read(module(main))


def test_a_dtype_without_a_place_in_files_is_refused() -> None:
    @R.function
    def main(x: R.Tensor((4,), "bfloat16")) -> R.Tensor((4,), "bfloat16"):  # type: ignore
        return x

    with pytest.raises(ModelError, match=r"x is bfloat16, .* cannot hold; expected one of bool,"):
        read(module(main))


def test_a_branch_is_refused() -> None:
    @R.function
    def main(x: R.Tensor((4,), "float32"), c: R.Tensor((), "bool")):  # type: ignore
        if c:
            y = x
        else:
            y = x
        return y

    with pytest.raises(ModelError, match="needs a branch on a value, which TVM's runtime"):
        read(module(main))


def test_an_operator_that_has_no_kernel_is_refused_by_name() -> None:
    @R.function(pure=False)
    def main(x: R.Tensor((4,), "float32")) -> R.Tensor((4,), "float32"):  # type: ignore
        y = R.call_packed("lab.sharpen", x, ty_args=(R.Tensor((4,), "float32"),))
        return y

    with pytest.raises(ModelError, match=r"needs lab\.sharpen, which TVM's runtime does; a sta"):
        read(module(main))
