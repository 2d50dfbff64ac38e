"""What is tuned: a layer, its pattern of zeros, and the spaces of its kernels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from tvm_sparse import implement
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.relay_passes import pack_for_gpu
from tvm_sparse.targets import Target
from tvm_sparse.tuning.arguments import CLOSE
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.spaces import spaces_of
from tvm_sparse.tuning.subject import Subject

_STEPS = 4  # counts that differ by less than a factor of 2 ** (1 / 4) are alike


@dataclass(frozen=True, kw_only=True)
class Task(Subject, ABC):
    """A layer to be tuned; see `Subject` for what is not told here.

    Parameters
    ----------
    identity : str
        Equal for layers that one record serves: see `identity`.
    layers : tuple of str
        The names of the layers that share the identity.
    tolerance : float
        By how much outputs may differ from the default kernel's, relative to its largest.
    """

    identity: str
    layers: tuple[str, ...] = ()
    tolerance: float = CLOSE

    @abstractmethod
    def chosen(self, sample: Sample) -> Choice | IntegerChoice | NibbleChoice | None:
        """Return the choice that a sample stands for; None if it stands for none here."""

    @abstractmethod
    def implemented(self, sample: Sample) -> Implementation | None:
        """Return the kernel of a sample, bound to the weight; None if it stands for none here."""


@dataclass(frozen=True, kw_only=True)
class LayerTask(Task):
    """A layer of floats to be tuned.

    Parameters
    ----------
    weight : array of shape ``layer.weight``
        One weight with the pattern; only its zeros matter.
    choice : Choice
        What the cost formula chose, in one of the spaces.
    """

    weight: Weight
    choice: Choice

    def chosen(self, sample: Sample) -> Choice | None:
        """Return the choice that a sample stands for; None if it stands for none here."""
        space, kernel = self.space(sample.space), self.kernel(sample)
        if space is None or kernel is None:
            return None
        return replace(self.choice, used=space.used, rest=space.rest, kernel=kernel)

    def implemented(self, sample: Sample) -> Implementation | None:
        """Return the kernel of a sample, bound to the weight; None if it stands for none here."""
        choice = self.chosen(sample)
        if choice is None:
            return None
        make = pack_for_gpu.implement if self.target.is_gpu else implement.chosen
        return make(choice, self.weight)


def task_of(choice: Choice, weight: Weight, target: Target) -> LayerTask:
    """Return the task of tuning a layer, given what the cost formula chose for its weight."""
    layer = choice.layer
    return LayerTask(
        layer=layer,
        weight=weight,
        target=target,
        choice=choice,
        identity=identity(choice),
        spaces=spaces_of(choice, weight, target),
        layers=(layer.name,),
    )


def identity(choice: Choice) -> str:
    """Return what a record is filed under: the layer, and what matters of its pattern of zeros.

    That is the format that was found, its blocks of filters, and about how many taps and weights
    they have. Other patterns of the same counts take the same time, and share a record; equal
    shapes with fewer zeros do not. Of layers whose zeros are not used, the shape alone matters.
    """
    key, found, rows = choice.layer.key, choice.found, choice.ways.rows
    if not rows:
        return f"{key}; dense"
    work, single = rows[found.format, found.block], rows["unstructured", ()]
    form = str(found).split("@")[0]
    order = " reordered" if work.reordered else ""
    blocks = f"{work.blocks}×{work.filters}{order}"
    return f"{key}; {form}: {blocks}, taps {about(work.taps)}, weights {about(single.taps)}"


def about(number: int) -> str:
    """Return a count, the same for all that are alike."""
    return f"2^({round(_STEPS * math.log2(number))}/{_STEPS})" if number else "0"
