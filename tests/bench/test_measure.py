from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from tvm_sparse.bench import layers, machine, networks, rivals, table
from tvm_sparse.bench.run import measure_layers, measure_network
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.errors import FormatError, TvmSparseError
from tvm_sparse.layer import Layer
from tvm_sparse.pruning.layers import resolve
from tvm_sparse.targets import Target


def test_every_round_runs_each_callable_in_turn_and_once_before_it_is_timed() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times = interleaved(calls, rounds=3, least=0)
    assert "".join(order[-12:]) == "aabb" * 3
    assert len(times["a"].rounds) == 3


def test_short_calls_are_repeated_and_times_are_those_of_one() -> None:
    times = interleaved({"sleep": lambda: time.sleep(0.001)}, rounds=3, least=0.01)
    assert 0.001 <= times["sleep"].median < 0.005


def test_ratios_are_medians_over_paired_rounds() -> None:
    ours, theirs = Times(rounds=(1.0, 2.0, 4.0)), Times(rounds=(3.0, 4.0, 4.0))
    assert ours.ratio(theirs) == 2.0
    assert ours.spread == pytest.approx((3.0 - 1.5) / 2 / 2.0)


def test_all_layers_of_an_encoder_are_pruned_but_the_ends_of_other_networks_stay_dense() -> None:
    bert, _ = networks.network("bert", 32)
    assert networks.plan(bert, "one_by_n-4@0.2") == {
        f"{layer}.{name}": "one_by_n-4@0.2"
        for layer in range(2)
        for name in ("query", "key", "value", "out", "up", "down")
    }
    vit, _ = networks.network("vit", 32)
    planned = resolve(vit, networks.plan(vit, "one_by_n-4@0.2"))
    assert len(planned) == 12
    assert not {"patches", "head"} & set(planned)


def test_layer_sets_hold_each_layer_once_and_how_often_it_occurs() -> None:
    found = layers.layer_set("resnet50")
    assert len(found) == 23 and sum(found.values()) == 53
    assert next(iter(found)) == Layer(
        op="conv2d", weight=(64, 3, 7, 7), input=(1, 224, 224), stride=(2, 2), padding=(3,) * 4
    )
    assert all(layer.pointwise for layer in layers.layer_set("mobilenet_v2"))
    assert all(layer.kernel == (3, 3) for layer in layers.layer_set("vgg16"))
    assert {layer.weight: often for layer, often in layers.layer_set("bert").items()} == {
        (768, 768): 48,
        (3072, 768): 12,
        (768, 3072): 12,
    }
    assert {layer.input for layer in layers.layer_set("vit")} == {(197,)}
    assert any(layer.groups == 32 for layer in layers.layer_set("resnext50"))


@pytest.mark.parametrize("name", networks.names())
def test_networks_are_reproducible_and_their_activations_sane(name: str) -> None:
    if name == "vgg16":
        pytest.skip("138 million weights: covered by the slow test of its build")
    model, image = networks.network(name, 64, classes=10)
    again, other = networks.network(name, 64, classes=10)
    assert torch.equal(image, other)
    with torch.inference_mode():
        logits = model(image)
        assert torch.equal(logits, again(other))
    assert torch.isfinite(logits).all()
    assert 0.01 < float(logits.std()) < 100


@pytest.mark.parametrize("name", [name for name in rivals.NAMES if "mnn" not in name])
def test_rivals_compute_what_torch_computes(name: str) -> None:
    if name not in rivals.installed():
        pytest.skip(f"{name} is not installed: an optional extra")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    image = torch.randn(1, 3, 16, 16)
    result = rivals.prepare(name, model, image, 1)()
    value = result[0] if isinstance(result, list) else result
    value = next(iter(value.values())) if hasattr(value, "values") and name == "openvino" else value
    with torch.inference_mode():
        torch.testing.assert_close(torch.as_tensor(value), model(image), rtol=1e-4, atol=1e-5)


def test_layers_are_measured_in_the_schemes_that_suit_them(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Layer(op="linear", weight=(32, 6), input=(4,), name="6→32")
    wide = Layer(op="linear", weight=(32, 48), input=(4,), name="48→32")
    monkeypatch.setattr(layers, "layer_set", lambda name: {narrow: 1, wide: 1})
    schemes = ["nm-2x4@0.5", "nm-1x8@0.125"]
    rows = list(measure_layers("bert", [], [], 1, rounds=1, engines=[], schemes=schemes))
    measured = [(row.case, row.scheme, row.zeros) for row in rows]
    assert measured == [
        ("6→32", "nm-2x4@0.5/32", pytest.approx(0.5, abs=0.17)),
        ("48→32", "nm-2x4@0.5/32", 0.5),
        ("48→32", "nm-1x8@0.125/32", 0.875),
    ]


def test_the_median_layer_is_given_by_shapes_and_by_occurrences() -> None:
    (row,) = measure_layers("bert", [0.8], [16], threads=1, rounds=1, engines=[], limit=1)
    rows = [replace(row, of_peak=share, occurrences=n) for share, n in ((0.9, 4), (0.5, 1))]
    assert "median 0.70 of peak, of all 5 layers 0.90" in "\n".join(table.summary(rows))


def test_missing_rivals_are_named_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(measure_layers("bert", [0.8], [16], threads=1, rounds=1, engines=[], limit=1))
    monkeypatch.setattr(rivals, "missing", lambda: ["openvino"])
    text = table.markdown(rows)
    assert "Not installed, so not measured: openvino." in text
    assert rows[0].fastest[0] == ""


def test_the_peak_is_that_of_multiply_adds(x86: Target) -> None:
    run, flops = machine.peak_kernel(x86, 1)
    times = interleaved({"peak": run}, rounds=3)
    assert flops / times["peak"].median > 1e9


def test_networks_are_measured_and_verified() -> None:
    (row,) = measure_network(
        "resnet18", ["block_punched-8x4@0.2"], threads=1, rounds=1, engines=["torch"], size=32
    )
    assert row.zeros == pytest.approx(0.76, abs=0.05)
    assert row.error < 1e-4
    assert row.fastest[0] == "torch"
    assert "1 thread: 1 case, " in "\n".join(table.summary([row]))


def test_wrong_results_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tvm_sparse.compiled import Compiled

    original = Compiled.__call__
    monkeypatch.setattr(Compiled, "__call__", lambda self, *x: original(self, *x) * 1.001)
    with pytest.raises(TvmSparseError, match="differs from torch"):
        list(measure_layers("bert", [0.8], [16], threads=1, rounds=1, engines=[], limit=1))


def test_unknown_sets_are_refused() -> None:
    with pytest.raises(FormatError, match="expected one of resnet50"):
        layers.layer_set("alexnet")
