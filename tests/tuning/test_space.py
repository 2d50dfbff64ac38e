from __future__ import annotations

import pytest

from support import kernels, tuning
from tvm_sparse import implement
from tvm_sparse.layer import Layer
from tvm_sparse.tuning.task import LayerTask

LAYERS = [tuning.CONV, tuning.POINTWISE, tuning.MATRIX]
FAMILIES = tuning.families()


@pytest.fixture(params=FAMILIES)
def task(request: pytest.FixtureRequest) -> LayerTask:
    return FAMILIES[request.param]


def test_every_family_of_kernels_has_a_space() -> None:
    families = {task.spaces[0].family for task in FAMILIES.values()}
    assert families == {"tiles", "panels", "windows", "patterns", "parts", "channels"}


def test_the_default_kernel_is_a_sample(task: LayerTask) -> None:
    chosen = task.chosen(task.default)
    assert chosen is not None
    assert chosen.kernel == task.choice.kernel
    assert (chosen.used.format, chosen.rest) == (task.choice.used.format, task.choice.rest)
    for decision in task.spaces[0].decisions:
        assert task.default.point[decision.name] in decision.values


def test_a_kernel_tells_the_decisions_that_made_it(task: LayerTask) -> None:
    for sample in tuning.samples(task, 20):
        space, chosen = task.space(sample.space), task.chosen(sample)
        assert space is not None and chosen is not None
        assert space.point(chosen.kernel) == sample.point


def test_no_two_samples_stand_for_one_kernel(task: LayerTask) -> None:
    found = [task.chosen(sample) for sample in tuning.samples(task, 60)]
    assert len({(str(c.used), c.kernel) for c in found if c is not None}) == len(found)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.key)
def test_odds_are_highest_where_the_formula_predicts_the_shortest_time(layer: Layer) -> None:
    task = tuning.task(layer)
    for decision in task.spaces[0].decisions:
        assert sum(decision.odds) == pytest.approx(1)
        preferred = decision.values[decision.odds.index(max(decision.odds))]
        if decision.name in ("registers", "plane", "rows"):
            at_best = decision.odds[decision.values.index(task.default.point[decision.name])]
            assert at_best == pytest.approx(max(decision.odds)), preferred


def test_every_sample_computes_the_layer(task: LayerTask) -> None:
    layer, x = task.layer, kernels.inputs(task.layer)
    expected = kernels.reference(layer, x, task.weight)
    for sample in tuning.samples(task, 3):
        chosen = task.chosen(sample)
        assert chosen is not None
        bound = implement.chosen(chosen, task.weight)
        y = kernels.run(layer, bound, chosen.kernel, x, task.target)
        kernels.assert_close(y, expected)


def test_decisions_from_elsewhere_stand_for_nothing() -> None:
    task = tuning.task()
    sample = task.default
    assert task.chosen(type(sample)(space="tiles nothing", point=sample.point)) is None
    assert task.chosen(type(sample)(space=sample.space, point={"rows": 4})) is None
    unknown = {**sample.point, "plane": 99999}
    assert task.chosen(type(sample)(space=sample.space, point=unknown)) is None
