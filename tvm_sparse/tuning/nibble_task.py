"""What is tuned of a linear layer whose weights are codes of four bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tvm_sparse import implement_nibbles, nibble_choice
from tvm_sparse.cost import Work
from tvm_sparse.implement import Implementation
from tvm_sparse.kernel import Kernel
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import PER_WORD
from tvm_sparse.targets import Target
from tvm_sparse.tile import NibbleTile
from tvm_sparse.tuning.nibbles import VECTORS, NibbleSpace
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task, about

_NEAR = 1.3  # times the best predicted time, up to which the other space is searched


@dataclass(frozen=True, kw_only=True)
class NibbleTask(Task):
    """A layer of codes to be tuned.

    Parameters
    ----------
    choice : NibbleChoice
        What the cost formula chose, in one of the spaces.
    """

    choice: NibbleChoice

    def chosen(self, sample: Sample) -> NibbleChoice | None:
        """Return the choice that a sample stands for; None if it stands for none here."""
        space, kernel = self.space(sample.space), self.kernel(sample)
        if not isinstance(space, NibbleSpace) or kernel is None:
            return None
        used = nibble_choice.stored_whole()
        if space.words:
            used = nibble_choice.stored_in_lists(self.choice.stored, kernel)
        return replace(self.choice, used=used, kernel=kernel)

    def implemented(self, sample: Sample) -> Implementation | None:
        """Return the kernel of a sample, bound to the weight; None if it stands for none here."""
        choice = self.chosen(sample)
        return None if choice is None else implement_nibbles.implement(choice)


def nibble_task_of(choice: NibbleChoice, target: Target) -> NibbleTask:
    """Return the task of tuning a layer of codes, given what the cost formula chose for it."""
    every = list(_every(choice, target))
    own = next(space for space in every if bool(space.words) == choice.is_sparse)
    others = [s for s in every if s is not own and s.seconds <= _NEAR * own.seconds]
    return NibbleTask(
        layer=choice.layer,
        target=target,
        choice=choice,
        identity=identity(choice, target),
        spaces=(own, *others),
        layers=(choice.layer.name,),
    )


def identity(choice: NibbleChoice, target: Target) -> str:
    """Return what a record is filed under: layer, codes, and how many words the lists have."""
    stored, listed = choice.stored, "dense"
    if not stored.kept.all():
        counts = nibble_choice.counts(stored, target).values()
        listed = "words " + ", ".join(about(words) for words in counts)
    return f"{choice.layer.key}; {stored.code} by {stored.group}; {listed}"


def _every(choice: NibbleChoice, target: Target) -> Iterator[NibbleSpace]:
    """Yield the space of kernels over all codes, and of those over lists if some are zero."""
    layer, stored = choice.layer, choice.stored
    best = nibble_choice.dense_kernel(layer, stored.group, stored.code, target)
    channels = -(-layer.channels // PER_WORD)
    dense = NibbleSpace(
        layer=layer,
        used=nibble_choice.stored_whole(),
        work=_work(best, channels * -(-layer.filters // best.tile.filters), layer.filters),
        target=target,
        group=stored.group,
        code=stored.code,
    )
    yield dense
    if stored.kept.all():
        return
    words = nibble_choice.counts(stored, target, VECTORS)
    best = nibble_choice.sparse_kernel(layer, stored.group, stored.code, words, target)
    used = nibble_choice.stored_in_lists(stored, best)
    work = _work(best, words[best.tile.filters], layer.filters)
    yield replace(dense, used=used, work=work, words=tuple(words.values()))


def _work(kernel: Kernel, words: int, filters: int) -> Work:
    """Return what a kernel multiplies whose panels have so many words."""
    assert isinstance(kernel.tile, NibbleTile)
    panel = kernel.tile.filters
    return Work(blocks=-(-filters // panel), taps=PER_WORD * words, filters=panel)
