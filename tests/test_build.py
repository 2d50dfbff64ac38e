from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, models
from support.naive import naive_loops
from tvm_sparse.bench import networks
from tvm_sparse.errors import InputError, TargetError

SMALL = [("resnet18", 64), ("mobilenet_v2", 64), ("resnet50", 64)]


@pytest.mark.parametrize(("name", "size"), SMALL)
@pytest.mark.parametrize("scheme", ["block_punched-8x4@0.2", "one_by_n-4@0.2", "unstructured@0.1"])
def test_pruned_networks_equal_torch_and_no_loop_is_left_naive(
    name: str, size: int, scheme: str
) -> None:
    model, image = networks.network(name, size, classes=10)
    ts.prune(model, scheme)
    compiled = ts.build(model, example_inputs=(image,))
    with torch.inference_mode():
        kernels.assert_close(compiled(image), model(image))
    assert any(row.is_sparse for row in compiled.report)
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


KINDS = [
    ("bert", 36, "one_by_n-4@0.2"),
    ("vit", 96, "block_punched-8x4@0.25"),
    ("conv1d", 32, "one_by_n-4@0.2"),
    ("mobilenet_v3", 32, "one_by_n-4@0.2"),
    ("efficientnet_b0", 32, "one_by_n-4@0.2"),
    ("resnext50", 32, "block_punched-4x1@0.2"),
    ("unet_sr", 20, "block_punched-8x4@0.2"),
]


@pytest.mark.parametrize(("name", "size", "scheme"), KINDS)
def test_networks_of_other_kinds_equal_torch_pruned(name: str, size: int, scheme: str) -> None:
    model, x = networks.network(name, size, classes=10)
    ts.prune(model, networks.plan(model, scheme))
    compiled = ts.build(model, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert any(row.is_sparse for row in compiled.report)
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


@pytest.mark.parametrize("name", ["bert", "conv1d", "unet_sr"])
def test_networks_of_other_kinds_equal_torch_dense(name: str) -> None:
    model, x = networks.network(name, 32, classes=10)
    compiled = ts.build(model, example_inputs=(x,), sparse=False)
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))


def test_an_encoder_is_transposed_at_its_two_ends_only() -> None:
    model, x = networks.network("bert", 64)
    ts.prune(model, networks.plan(model, "one_by_n-4@0.2"))
    compiled = ts.build(model, example_inputs=(x,))
    calls = [line.strip() for line in str(compiled.mod["main"]).splitlines()]  # type: ignore[index]
    assert sum(line.startswith("transpose") for line in calls) == 2
    assert sum(line.startswith("attention") for line in calls) == len(model)  # type: ignore[arg-type]


@pytest.mark.slow
def test_vgg_equals_torch() -> None:
    model, image = networks.network("vgg16", 64, classes=10)
    ts.prune(model, "block_punched-8x4@0.2")
    compiled = ts.build(model, example_inputs=(image,))
    with torch.inference_mode():
        kernels.assert_close(compiled(image), model(image))
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


def test_batches_are_computed_image_by_image() -> None:
    model, image = networks.network("resnet18", 64, classes=10)
    ts.prune(model, "block_punched-8x4@0.25")
    batch = torch.cat([image, image.flip(3), image * 0.5])
    compiled = ts.build(model, example_inputs=(batch,))
    with torch.inference_mode():
        kernels.assert_close(compiled(batch), model(batch))


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    model, image = models.mixed()
    compiled = ts.build(model, example_inputs=(image,))
    ts.set_threads(1)
    alone = compiled(image)
    ts.set_threads(2)
    assert torch.equal(compiled(image), alone)


def test_a_model_without_zeros_builds_dense_and_says_so() -> None:
    model, image = models.mixed()
    report = ts.build(model, example_inputs=(image,)).report
    assert not any(row.is_sparse for row in report)
    assert report.summary.endswith("all dense: the weights contain no zeros")


def test_the_dense_build_ignores_zeros() -> None:
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1)).eval()
    ts.prune(model, {"0": "block-8x1@0.1"})
    x = torch.randn(1, 64, 20, 20)
    dense = ts.build(model, example_inputs=(x,), sparse=False)
    with torch.inference_mode():
        kernels.assert_close(dense(x), model(x))
    (row,) = dense.report
    assert row.stored == "dense"
    assert row.reason == "90% zeros, not to be used"


def test_the_report_tells_what_was_found_chosen_and_why() -> None:
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 8, 1)).eval()
    ts.prune(model, {"0": "block_punched-8x4@0.25"})
    report = ts.build(model, example_inputs=(torch.randn(1, 64, 20, 20),)).report
    first, second = report
    assert (first.name, first.found, first.stored) == (
        "0",
        "block_punched-8x4@0.25/32",
        "block_punched-8x4@0.25/32",
    )
    assert "as fast as dense" in first.reason
    assert first.macs == 64 * 64 * 9 * 400
    assert first.nbytes < 0.3 * first.dense_nbytes
    assert (second.stored, second.reason) == ("dense", "no zeros")
    table = str(report)
    assert "1 of 2 layers sparse" in table
    assert "block_punched-8x4@0.25/32" in table


def test_other_cpu_targets_compute_the_same(target: ts.Target) -> None:
    model, image = models.mixed()
    ts.prune(model, {"6": "block-4x1@0.3", "11.conv": "block-4x1@0.2"})
    compiled = ts.build(model, target, example_inputs=(image,))
    with torch.inference_mode():
        kernels.assert_close(compiled(image), model(image))


def test_targets_that_this_cpu_lacks_are_refused_when_called() -> None:
    from dataclasses import replace

    from tvm_sparse import targets

    alien = replace(targets.load("x86-avx2"), name="alien", needs=("avx9000",))
    compiled = ts.build(nn.Linear(4, 3).eval(), alien, example_inputs=(torch.ones(2, 4),))
    with pytest.raises(TargetError, match="alien, which needs avx9000"):
        compiled(torch.ones(2, 4))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "expected 1 inputs"),
        ((np.ones((2, 5), np.float32),), r"must be float32 \(2, 4\), got float32 \(2, 5\)"),
        ((np.ones((2, 4)),), "got float64"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: tuple[object, ...], message: str) -> None:
    compiled = ts.build(nn.Linear(4, 3).eval(), example_inputs=(torch.ones(2, 4),))
    with pytest.raises(InputError, match=message):
        compiled(*inputs)


def test_calls_from_several_threads_do_not_disturb_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)).eval()
    images = [torch.randn(1, 8, 16, 16) for _ in range(8)]
    compiled = ts.build(model, example_inputs=(images[0],))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(compiled, images * 4))
    with torch.inference_mode():
        for image, result in zip(images * 4, results, strict=True):
            kernels.assert_close(result, model(image))


def test_stages_are_told() -> None:
    told: list[str] = []
    ts.build(nn.Linear(4, 3).eval(), example_inputs=(torch.ones(2, 4),), progress=told.append)
    assert told == ["importing", "finding sparsity", "generating code"]
