from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tvm_sparse.program.plan import ALIGNMENT, Call, Plan, Tensor, place


def floats(*shape: int) -> Tensor:
    return Tensor(shape=shape, dtype="float32")


def chain(sizes: list[int]) -> Plan:
    """A program that turns one tensor into the next."""
    tensors = [floats(size) for size in sizes]
    calls = tuple(Call(kernel="step", tensors=pair) for pair in pairwise(tensors))
    return Plan(calls=calls, inputs=(tensors[0],), outputs=(tensors[-1],))


@given(st.lists(st.integers(0, 300), min_size=2, max_size=12))
def test_neighbours_in_a_chain_never_overlap(sizes: list[int]) -> None:
    plan = chain(sizes)
    found = place(plan)
    ends = [plan.inputs[0], plan.outputs[0]]
    together = [call.tensors for call in plan.calls] + [
        (end, tensor) for end in ends for tensor in plan.tensors if tensor is not end
    ]
    for first, second in together:
        a, b = sorted((found.offsets[one], one.nbytes) for one in (first, second))
        assert a[0] + a[1] <= b[0]
    assert all(offset % ALIGNMENT == 0 for offset in found.offsets.values())
    assert max(found.offsets[one] + one.nbytes for one in plan.tensors) <= found.memory


def test_tensors_that_are_never_alive_together_share_memory() -> None:
    found = place(chain([16, 1024, 1024, 1024, 1024, 16]))
    assert found.memory == 2 * 4096 + 2 * 64


def test_a_view_keeps_the_memory_of_its_base_alive() -> None:
    x, a, b, y = floats(64), floats(64), floats(64), floats(64)
    view = Tensor(shape=(8, 8), dtype="float32", base=a)
    calls = [Call(kernel="f", tensors=pair) for pair in ((x, a), (x, b), (b, y), (view, y))]
    found = place(Plan(calls=tuple(calls), inputs=(x,), outputs=(y,)))
    assert view.home is a
    assert view not in found.offsets
    offsets = [found.offsets[one] for one in (x, a, b, y)]
    assert all(abs(one - other) >= 256 for one, other in combinations(offsets, 2))


def test_constants_lie_in_a_row_of_their_own() -> None:
    one = Tensor(shape=(3,), dtype="int32", value=np.arange(3, dtype=np.int32))
    two = Tensor(shape=(), dtype="float32", value=np.zeros((), np.float32))
    x, y = floats(4), floats(4)
    call = Call(kernel="f", tensors=(x, one, two, y))
    found = place(Plan(calls=(call,), inputs=(x,), outputs=(y,)))
    assert (found.offsets[one], found.offsets[two], found.constants) == (0, 64, 128)
    assert found.memory == 128
