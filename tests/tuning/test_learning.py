from __future__ import annotations

from pathlib import Path

from support import tuning
from tvm_sparse.tuning import folder, learning, sampling, subject
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task


def predicted(task: Task, sample: Sample) -> float:
    kernel = task.kernel(sample)
    assert kernel is not None
    return kernel.seconds


def test_a_subject_is_written_and_read() -> None:
    for task in tuning.families().values():
        again = subject.read(subject.write(task), task.target)
        assert again.layer == task.layer
        assert again.spaces == task.spaces
        assert again.seconds == task.choice.kernel.seconds


def test_records_of_other_layers_teach_the_cost_model_to_order_kernels(tmp_path: Path) -> None:
    other, task = tuning.task(tuning.POINTWISE), tuning.task(tuning.CONV)
    entries = [(other, one, [predicted(other, one)]) for one in tuning.samples(other, 40)]
    tuning.database(str(tmp_path), entries)
    model = learning.model(task.target)
    known = learning.known(folder.reading(tmp_path), task.target)
    assert [len(group.candidates) for group in known] == [40]
    learning.learn(model, known)
    samples = tuning.samples(task, 30)
    held_out = learning.Known(mod=sampling.workload(task), subject=task)
    held_out.candidates = [learning.candidate(task, one) for one in samples]
    scores = model.predict(learning.context(held_out), held_out.candidates)
    times = [predicted(task, one) for one in samples]
    best, worst = scores.argmax(), scores.argmin()
    assert times[best] < times[worst]
