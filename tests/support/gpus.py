"""GPUs that are only described, and layers of theirs to be tuned; nothing runs."""

from __future__ import annotations

from support import tuning
from tvm_sparse import workgroup_choice
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tuning.task import LayerTask, task_of


def described(threads: int = 256, shared: int = 32768) -> Target:
    """A Vulkan device that lets a workgroup have so many threads, and bytes that they share."""
    limits = {"max_threads_per_block": threads, "max_shared_memory_per_block": shared}
    return Target(name="described", tvm={"kind": "vulkan", **limits})


def task(layer: Layer, scheme: str = "one_by_n-4@0.2", target: Target | None = None) -> LayerTask:
    weight, target = tuning.pruned(layer, scheme), target or described()
    return task_of(workgroup_choice.choose(layer, weight, target), weight, target)
