"""What is tuned of a quantized layer: its words of four channels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm_sparse import implement_integer, integer_choice
from tvm_sparse.cost import Work
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.targets import Target
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task, about
from tvm_sparse.tuning.words import WordSpace, spaces_of
from tvm_sparse.words import word_layer


@dataclass(frozen=True, kw_only=True)
class IntegerTask(Task):
    """An integer layer to be tuned; its `layer` is the one over words.

    Parameters
    ----------
    numbers : Integers
    choice : IntegerChoice
        What the cost formula chose, in one of the spaces.
    """

    numbers: Integers
    choice: IntegerChoice
    tolerance: float = 0.0

    def chosen(self, sample: Sample) -> IntegerChoice | None:
        """Return the choice that a sample stands for; None if it stands for none here."""
        space, kernel = self.space(sample.space), self.kernel(sample)
        if not isinstance(space, WordSpace) or kernel is None:
            return None
        rows = integer_choice.stored(
            self.numbers, self.choice.layer, space.work.filters, self.target, space.skips
        )
        return replace(self.choice, used=space.used, rows=rows, kernel=kernel)

    def implemented(self, sample: Sample) -> Implementation | None:
        """Return the kernel of a sample, bound to the weight; None if it stands for none here."""
        choice = self.chosen(sample)
        return None if choice is None else implement_integer.implement(choice, self.numbers)


def integer_task_of(choice: IntegerChoice, numbers: Integers, target: Target) -> IntegerTask:
    """Return the task of tuning an integer layer, given what the cost formula chose for it."""
    return IntegerTask(
        layer=word_layer(choice.layer),
        target=target,
        numbers=numbers,
        choice=choice,
        identity=identity(choice, numbers),
        spaces=spaces_of(choice, target),
        layers=(choice.layer.name,),
    )


def identity(choice: IntegerChoice, numbers: Integers) -> str:
    """Return what a record is filed under: the layer over words, and how many words it has.

    These are counted for each size of blocks. Kernels that store bytes, floats, or bytes to which
    a residual is added, take different times, and share no records.
    """
    stores = "floats" if numbers.output is None else "bytes"
    added = "" if numbers.residual is None else " and a residual"
    skipped = {size: work for (skips, size), work in choice.works.items() if skips}
    counts = ", ".join(_counted(work) for work in skipped.values()) or "dense"
    return f"{word_layer(choice.layer).key}; {stores}{added}; {counts}"


def _counted(work: Work) -> str:
    return f"{work.blocks}×{work.filters} {about(work.taps)}"
