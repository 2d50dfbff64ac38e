"""What is tuned, but for the weight: so much of a task stands in the database.

It is what the cost model needs to learn from records of layers that are not being tuned.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any

from tvm_sparse.choose import Parts
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tuning.space import SLOWEST, Sample, Space
from tvm_sparse.tuning.spaces import KINDS, kind_of
from tvm_sparse.workgroup import Workgroup


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A layer and the spaces of its kernels.

    Parameters
    ----------
    layer : Layer
    target : Target
    spaces : tuple of Space
        That of the kernel which the cost formula likes best first.
    """

    layer: Layer
    target: Target
    spaces: tuple[Space, ...]

    @cached_property
    def default(self) -> Sample:
        """The sample that stands for the kernel which the cost formula likes best."""
        space = self.spaces[0]
        return Sample(space=space.name, point=space.point(space.best))

    def space(self, name: str) -> Space | None:
        """Return a space by its name."""
        return next((space for space in self.spaces if space.name == name), None)

    def kernel(self, sample: Sample) -> Kernel | None:
        """Return the kernel that a sample stands for; None if it stands for none here."""
        space = self.space(sample.space)
        if space is None or set(sample.point) != set(space.names):
            return None
        return space.kernel(sample.point)

    def refusal(self, sample: Sample) -> str:
        """Return why a sample stands for no kernel here; empty if it stands for one."""
        space = self.space(sample.space)
        if space is None or set(sample.point) != set(space.names):
            return f"there is no space {sample.space!r} with these decisions"
        return space.refusal(sample.point)

    @property
    def seconds(self) -> float:
        """The best predicted time."""
        return self.spaces[0].seconds

    def size(self, most: int) -> int:
        """Return how many samples are worth measuring, `most` if they are at least that many."""
        samples = (
            Sample(space=space.name, point=dict(zip(space.names, values, strict=True)))
            for space in self.spaces
            for values in product(*(decision.values for decision in space.decisions))
        )
        return sum(1 for _ in islice(filter(self.is_promising, samples), most))

    def is_promising(self, sample: Sample) -> bool:
        """Whether a sample stands for a kernel that is not predicted to be far from the best."""
        kernel = self.kernel(sample)
        return kernel is not None and kernel.seconds <= SLOWEST * self.seconds


def write(subject: Subject) -> str:
    """Return a subject as JSON, without its target."""
    spaces = [[kind_of(space), _fields(space)] for space in subject.spaces]
    return json.dumps({"layer": {**asdict(subject.layer), "name": ""}, "spaces": spaces})


def read(text: str, target: Target) -> Subject:
    """Return the subject that `write` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the text is something else.
    """
    content = json.loads(text)
    layer = Layer(**_tuples(content["layer"]))
    spaces = tuple(
        KINDS[kind](layer=layer, target=target, **_objects(fields))
        for kind, fields in content["spaces"]
    )
    return Subject(layer=layer, target=target, spaces=spaces)


def _fields(space: Space) -> dict[str, Any]:
    """Return what a space consists of, but for its layer and target."""
    return {k: v for k, v in asdict(space).items() if k not in ("layer", "target")}


def _objects(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with schemes and works as such."""
    made = _tuples(fields)
    for name, value in fields.items():
        if name in ("used", "rest"):
            made[name] = Scheme(**_tuples(value))
        elif name in ("work", "core", "strays"):
            made[name] = Work(**value)
        elif name == "parts":
            made[name] = Parts(**_objects(value))
        elif name == "own":
            made[name] = Workgroup(**value)
    return made


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
