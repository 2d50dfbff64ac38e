"""Layers whose weights alone have 16 or 4 bits are measured, and predicted where they were not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from tvm_sparse import targets
from tvm_sparse.errors import FormatError, TargetError
from tvm_sparse.latency import LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import short
from tvm_sparse.profiling.lowered import Called, Lowered
from tvm_sparse.profiling.network import estimate
from tvm_sparse.profiling.prune_constants import weight
from tvm_sparse.profiling.rounds import Rounds
from tvm_sparse.profiling.terms import FORMULA
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

X = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
INNER = Layer(op="linear", weight=(64, 64), input=(1, 16))
BITS = (16, 4)


class Net(nn.Module):
    """A convolution, and two linear layers of one kind, of which one may be pruned."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(8, 64, 3)
        self.inner, self.head = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x)).flatten(2).mT
        found: torch.Tensor = torch.relu(self.head(torch.relu(self.inner(x))))
        return found


class Twice(Rounds):
    """Kernels that take twice as long as the cost formula says, and operators of 1 µs."""

    name = "in place"

    def __init__(self, place: Any = None, scratch: Path | None = None) -> None:
        super().__init__([])

    def build(self, lowered: Lowered, wanted: Sequence[Called] = ()) -> Rounds:
        found = Twice()
        found.calls = lowered.calls
        return found

    def run(self) -> None:
        layers = [call.layer for call in self.calls]
        self.rounds.append(np.array([2 * one.terms[FORMULA] if one else 1e-6 for one in layers]))

    def remove(self) -> None:
        """Nothing was written."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tvm_sparse.profiling.profile.InPlace", Twice)
        return ts.profile(
            Net().eval(),
            example_inputs=(X,),
            schemes=["one_by_n-16"],
            densities=[0.25],
            bits=BITS,
            database=tmp_path_factory.mktemp("logs"),
        )


def test_layers_are_measured_in_the_bits_that_they_can_have(table: LatencyTable) -> None:
    found: dict[str, dict[str, str]] = {"conv2d": {}, "linear": {}}
    for cell in (one for one in table.cells if one.terms):
        found[cell.key.split("-")[0]][str(cell.scheme)] = cell.kernel
        assert cell.seconds == pytest.approx(2 * cell.terms[FORMULA], rel=1e-4)
    assert {"dense@1.0/32", "dense@1.0/16"} == set(found["conv2d"])  # floats beside four bits
    each = {f"{scheme}/{bits}" for scheme in ("dense@1.0", "block-16x1@0.25") for bits in BITS}
    assert each <= set(found["linear"])
    assert found["linear"]["dense@1.0/4"].endswith("by 64 channels")
    assert found["linear"]["block-16x1@0.25/4"].startswith("block_punched-")  # zeros are skipped


def test_a_network_of_mixed_bits_is_the_sum_of_measured_kernels(table: LatencyTable) -> None:
    bits = {"stem": 16, "inner": 4, "head": 16}
    found = estimate(ts.quantize(Net().eval(), bits=bits, example_inputs=(X,)), table)
    parts = {part.name: part for part in found.parts}
    assert {name: parts[name].stored for name in bits} == {
        name: f"dense@1.0/{number}" for name, number in bits.items()
    }
    assert all(parts[name].latency.measured for name in bits)
    known = {cell.scheme.bits: cell.seconds for cell in table.cells if cell.key == INNER.key
             and cell.scheme.format == "dense"}  # fmt: skip
    assert parts["inner"].latency.seconds == known[4] and parts["head"].latency.seconds == known[16]


@pytest.mark.parametrize("bits", BITS)
def test_densities_never_measured_are_predicted_from_those_of_as_many_bits(
    bits: int, table: LatencyTable
) -> None:
    scheme = Scheme.parse(f"block-16x1@0.5/{bits}")
    found, drawn = table.latency(INNER, scheme), weight(INNER, scheme)
    formula = short.choose(INNER, drawn, bits, targets.load("x86")).kernel.seconds
    assert not found.measured and found.seconds == pytest.approx(2 * formula)


def test_bits_that_no_layer_can_have_are_refused(x86: Target) -> None:
    with pytest.raises(FormatError, match=r"expected some of 32, 16, 8, 4 as bits of layers, got"):
        short.check((32, 6), x86)
    with pytest.raises(TargetError, match=r"are for CPUs, vulkan is a GPU: leave them out of bits"):
        short.check((32, 4), targets.load("vulkan"))
