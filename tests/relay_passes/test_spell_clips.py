# mypy: ignore-errors
from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from tvm_sparse.relay_passes.spell_clips import SpellClips


@I.ir_module
class Before:
    @R.function
    def main(x: R.Tensor((2, 3), "float32")) -> R.Tensor((2, 3), "float32"):
        with R.dataflow():
            y = R.clip(x, 0.0, 6.0)
            R.output(y)
        return y


def test_clipping_is_a_maximum_and_a_minimum() -> None:
    after = SpellClips()(Before)
    text = str(after)
    assert "R.clip" not in text and "R.maximum" in text and "R.minimum" in text
    built = tvm.compile(after, "llvm")
    x = np.array([[-1, 0, 1], [5, 6, 7]], np.float32)
    y = relax.VirtualMachine(built, tvm.cpu())["main"](tvm.runtime.tensor(x))
    np.testing.assert_array_equal(y.numpy(), x.clip(0, 6))
