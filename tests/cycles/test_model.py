"""Executions of blocks are counted exactly, and costs are those of LLVM's models."""

from __future__ import annotations

import numpy as np
import pytest

from support.assembly import Assembled
from tvm_sparse.cycles import costs
from tvm_sparse.cycles.blocks import executed
from tvm_sparse.cycles.calls import Argument, Call
from tvm_sparse.cycles.model import Modelled, model
from tvm_sparse.cycles.program import Counted, count

pytestmark = [pytest.mark.arm, pytest.mark.usefixtures("modelling")]

# Row r adds up bounds[r] inputs: x2 counts rows, x4 what is left of one.
LISTS = """
  ldr x5, [x1, #8]
  ldr x5, [x5]
  mov x2, #3
rows:
  ldr x4, [x5], #8
taps:
  fmla v0.4s, v1.4s, v2.4s
  subs x4, x4, #1
  b.ne taps
  fadd v3.4s, v3.4s, v0.4s
  subs x2, x2, #1
  b.ne rows
"""


def lists(*bounds: int) -> Call:
    value = np.array(bounds, np.int64)
    return Call(function="lists", arguments=(Argument(shape=(3,), dtype="int64", value=value),))


def counted(*bounds: int) -> Counted:
    return count(Assembled("lists", LISTS), [lists(*bounds)])


def test_each_block_is_counted_as_often_as_it_ran() -> None:
    before, row, tap, after, end = executed(counted(5, 1, 7))
    assert [block.count for block in (before, row, tap, after, end)] == [1, 3, 13, 3, 1]
    assert [len(block.words) for block in (before, row, tap, after, end)] == [3, 1, 3, 3, 2]
    assert tap.multiply_adds == 1
    assert tap.is_loop
    assert not after.is_loop


def test_a_function_that_is_called_twice_counts_twice() -> None:
    once, twice = (
        model(Assembled("lists", LISTS), calls, "cortex-a72")["lists"]
        for calls in ([lists(5, 1, 7)], [lists(5, 1, 7), lists(2, 2, 2)])
    )
    assert (once.multiply_adds, twice.multiply_adds) == (13, 19)
    assert once.cycles < twice.cycles < 2 * once.cycles


def of_a_loop(body: str, core: str) -> Modelled:
    text = f"mov x2, #1000\nagain:\n{body}\nsubs x2, x2, #1\nb.ne again"
    return model(Assembled("loop", text), [Call(function="loop", arguments=())], core)["loop"]


@pytest.mark.parametrize(
    ("core", "peak"), [("cortex-a53", 1), ("cortex-a72", 1), ("cortex-a76", 2)]
)
def test_a_core_starts_as_many_multiply_adds_as_its_manual_says(core: str, peak: int) -> None:
    assert costs.peak(core) == pytest.approx(peak, rel=0.02)


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_nothing_but_independent_multiply_adds_reaches_the_peak(core: str) -> None:
    adds = "\n".join(f"fmla v{i}.4s, v30.4s, v31.s[1]" for i in range(24))
    found = of_a_loop(adds, core)
    assert found.multiply_adds == 24000
    assert 0.97 < found.of_peak <= 1
    assert 0.97 < found.inner_of_peak <= 1


def test_multiply_adds_that_wait_for_each_other_take_their_latency() -> None:
    found = of_a_loop("fmla v0.4s, v30.4s, v31.4s\nfmul v30.4s, v0.4s, v0.4s", "cortex-a72")
    assert found.cycles == pytest.approx(1000 * (7 + 5), rel=0.4)
    assert found.inner_of_peak < 0.2
