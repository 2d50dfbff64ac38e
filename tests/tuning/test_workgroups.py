"""The spaces of kernels for GPUs; no device is needed to see them."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from support import gpus, tuning
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import pack_for_gpu
from tvm_sparse.tuning import features, subject
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import LayerTask
from tvm_sparse.workgroup import Workgroup

GROUPED = Layer(
    op="conv2d", weight=(24, 8, 3, 3), input=(1, 15, 13), padding=(1, 1, 1, 1), groups=2, name="g"
)
CASES = {
    "convolution with zeros": (tuning.CONV, "one_by_n-4@0.2"),
    "dense convolution": (tuning.CONV, tuning.DENSE),
    "pointwise": (tuning.POINTWISE, "unstructured@0.1"),
    "linear with zeros": (tuning.RAGGED, "one_by_n-4@0.1"),
    "dense linear": (tuning.RAGGED, tuning.DENSE),
    "depthwise": (tuning.DEPTHWISE, tuning.DENSE),
    "groups": (GROUPED, "one_by_n-4@0.25"),
}
TASKS = {name: gpus.task(*case) for name, case in CASES.items()}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> LayerTask:
    return TASKS[request.param]


def large(task: LayerTask) -> Sample:
    """A sample of 256 threads."""
    sizes = {"filters": 1, "blocks": 8, "height": 8, "width": 8, "lanes": 2, "channels": 8}
    return Sample(space=task.spaces[0].name, point=sizes)


def test_what_build_chooses_is_a_sample(task: LayerTask) -> None:
    chosen = task.chosen(task.default)
    assert chosen is not None and chosen.kernel == task.choice.kernel
    assert chosen.is_sparse == task.choice.is_sparse
    for decision in task.spaces[0].decisions:
        assert sum(decision.odds) == pytest.approx(1)
        own = decision.values.index(task.default.point[decision.name])
        assert decision.odds[own] == max(decision.odds)


def test_a_sample_states_the_sizes_of_its_workgroup(task: LayerTask) -> None:
    for sample in tuning.samples(task, 20):
        chosen = task.chosen(sample)
        assert chosen is not None
        tile = chosen.kernel.tile
        assert sample.point == (asdict(tile) if isinstance(tile, Workgroup) else {})
        assert features.features(task, sample).shape == (28,)


def test_every_sample_keeps_to_the_limits_of_the_device(task: LayerTask) -> None:
    small = gpus.described(threads=64, shared=4096)
    spaces = tuple(replace(space, target=small) for space in task.spaces)
    limited = replace(task, target=small, spaces=spaces)
    for sample in tuning.samples(limited, 20):
        chosen = limited.chosen(sample)
        assert chosen is not None
        if isinstance(tile := chosen.kernel.tile, Workgroup):
            assert tile.threads[0] * tile.threads[1] <= 64
            assert 4 * tile.space(task.layer) <= 4096


def test_a_sample_over_the_limits_is_refused_in_clear_words() -> None:
    allowed = gpus.task(tuning.CONV)
    assert allowed.refusal(large(allowed)) == ""
    task = gpus.task(tuning.CONV, target=gpus.described(threads=128))
    assert task.chosen(large(task)) is None
    assert task.refusal(large(task)) == (
        "the workgroup 8×1 filters × 8×8 takes 256 threads of at most 128 on described"
    )


@pytest.mark.parametrize(("which", "name"), [("dense linear", "matmul"), ("depthwise", "conv2d")])
def test_what_tvm_computes_may_run_over_workgroups_instead(which: str, name: str) -> None:
    task = TASKS[which]
    assert [space.name for space in task.spaces] == ["stock dense", "workgroups dense"]
    assert pack_for_gpu.implement(task.choice, task.weight).name == name


def test_what_only_tvm_computes_is_not_tuned() -> None:
    wide = replace(tuning.CONV, weight=(4, 1, 90, 90), input=(1, 100, 100), padding=(0, 0, 0, 0))
    assert gpus.task(wide, tuning.DENSE).spaces == ()


def test_a_record_tells_the_spaces_of_its_layer(task: LayerTask) -> None:
    again = subject.read(subject.write(task), task.target)
    assert again.spaces == task.spaces and again.default == task.default
