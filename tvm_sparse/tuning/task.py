"""What is tuned: a layer, its pattern of zeros, and the spaces of its kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from tvm_sparse import choose
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile, WindowTile
from tvm_sparse.tuning.panels import PanelSpace
from tvm_sparse.tuning.space import Sample, Space
from tvm_sparse.tuning.subject import Subject
from tvm_sparse.tuning.tiles import TileSpace

_NEAR = 1.3  # times the best predicted time, up to which another way of storing is tried
_WAYS = 3
_STEPS = 4  # counts that differ by less than a factor of 2 ** (1 / 4) are alike


@dataclass(frozen=True, kw_only=True)
class Task(Subject):
    """A layer to be tuned; see `Subject` for what is not told here.

    Parameters
    ----------
    weight : array of shape ``layer.weight``
        One weight with the pattern; only its zeros matter.
    choice : Choice
        What the cost formula chose, in one of the spaces.
    identity : str
        Equal for layers that one record serves: see `identity`.
    layers : tuple of str
        The names of the layers that share the identity.
    """

    weight: Weight
    choice: Choice
    identity: str
    layers: tuple[str, ...] = ()

    @cached_property
    def default(self) -> Sample:
        """The sample that stands for the cost formula's choice."""
        space = self.spaces[0]
        return Sample(space=space.name, point=space.point(self.choice.kernel))

    def chosen(self, sample: Sample) -> Choice | None:
        """Return the choice that a sample stands for; None if it stands for none here."""
        space, kernel = self.space(sample.space), self.kernel(sample)
        if space is None or kernel is None:
            return None
        used = replace(self.choice.found, format=space.option[0], block=space.option[1])
        return replace(self.choice, used=used, kernel=kernel)


def task_of(layer: Layer, weight: Weight, target: Target, choice: Choice) -> Task | None:
    """Return the task of tuning a layer; None if the chosen kernel has no space yet.

    Spaces exist for kernels over row blocks.
    """
    kernel = choice.kernel
    other = kernel.rest is not None or kernel.by_pattern or isinstance(kernel.tile, WindowTile)
    if not choice.is_sparse or other:
        return None
    kind = TileSpace if isinstance(kernel.tile, Tile) else PanelSpace
    ways = choose.ways(layer, weight, choice.found)
    own = choice.used.format, choice.used.block
    spaces = [
        kind(layer=layer, option=option, work=work, target=target)
        for option, work in ways.items()
        if option == own or kind is TileSpace
    ]
    spaces.sort(key=lambda space: (space.option != own, space.seconds))
    different: dict[Work, Space] = {}
    for space in spaces:
        different.setdefault(space.work, space)
    near = [space for space in different.values() if space.seconds <= _NEAR * kernel.seconds]
    return Task(
        layer=layer,
        weight=weight,
        target=target,
        choice=choice,
        identity=identity(layer, choice, ways),
        spaces=tuple(near[:_WAYS]),
        layers=(layer.name,),
    )


def identity(layer: Layer, choice: Choice, ways: dict[tuple[str, Block], Work]) -> str:
    """Return what a record is filed under: the layer, and what matters of its pattern of zeros.

    That is the format that was found, its blocks of filters, and about how many taps and weights
    they have. Other patterns of the same counts take the same time, and share a record; equal
    shapes with fewer zeros do not.
    """
    found = choice.found
    work, single = ways[found.format, found.block], ways["unstructured", ()]
    form = str(found).split("@")[0]
    order = " reordered" if work.reordered else ""
    blocks = f"{work.blocks}×{work.filters}{order}"
    return f"{layer.key}; {form}: {blocks}, taps {_about(work.taps)}, weights {_about(single.taps)}"


def _about(number: int) -> str:
    return f"2^({round(_STEPS * math.log2(number))}/{_STEPS})" if number else "0"
