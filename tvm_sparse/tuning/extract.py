"""The tasks of a model: its layers, each kind once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import tvm

from tvm_sparse import integer_choice, nibble_choice
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import Nibbles
from tvm_sparse.relay_passes import gpu_pipeline, pipeline
from tvm_sparse.targets import Target
from tvm_sparse.tuning.integer_task import integer_task_of
from tvm_sparse.tuning.nibble_task import nibble_task_of
from tvm_sparse.tuning.task import Task, task_of
from tvm_sparse.workgroup_choice import chooser


def extract(mod: tvm.IRModule, target: Target) -> list[Task]:
    """Return the tasks of an imported model, those of the longest predicted time first.

    Quantized layers are tasks on CPUs alone.

    Parameters
    ----------
    mod : IRModule
        With weights bound, as `tvm_sparse.frontend.import_model` returns it.
    target : Target
    """
    found: list[Task] = []

    choose = chooser(target)

    def note(layer: Layer, weight: Weight, target: Target) -> Choice:
        choice = choose(layer, weight, target)
        task = task_of(choice, weight, target)
        found.extend([task] if task.spaces else [])
        return choice

    def note_integers(
        numbers: Integers, layer: Layer, target: Target, sparse: bool
    ) -> IntegerChoice:
        choice = integer_choice.choose(numbers, layer, target, sparse)
        task = integer_task_of(choice, numbers, target)
        found.extend([task] if task.spaces else [])
        return choice

    def note_nibbles(layer: Layer, stored: Nibbles, target: Target, sparse: bool) -> NibbleChoice:
        choice = nibble_choice.choose(layer, stored, target, sparse)
        found.append(nibble_task_of(choice, target))
        return choice

    if target.is_gpu:
        lower = gpu_pipeline.lower(target, decide=note)
    else:
        lower = pipeline.lower(
            target, decide=note, decide_integers=note_integers, decide_nibbles=note_nibbles
        )
    with target.to_tvm():
        tvm.transform.Sequential([*pipeline.simplify(), *lower])(mod)
    return merged(found)


def merged(found: Iterable[Task]) -> list[Task]:
    """Return one task for all that share an identity, the heaviest first."""
    tasks: dict[str, Task] = {}
    for task in found:
        same = tasks.get(task.identity)
        names = task.layers if same is None else same.layers + task.layers
        tasks[task.identity] = replace(same or task, layers=names)
    return sorted(tasks.values(), key=lambda task: -task.seconds * len(task.layers))
