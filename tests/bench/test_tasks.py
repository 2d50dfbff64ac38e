from __future__ import annotations

from tvm_sparse import targets
from tvm_sparse.bench.tasks import tasks


def test_layers_of_sets_and_networks_are_tasks_once() -> None:
    target = targets.load("x86")
    found = tasks(["bert"], ["resnet18"], ["one_by_n-4@0.2"], target, limit=1, size=32)
    assert len({task.identity for task in found}) == len(found)
    weights = {task.layer.weight for task in found}
    assert (768, 768) in weights and len(weights) > 4
    assert max(len(task.layers) for task in found) > 1
