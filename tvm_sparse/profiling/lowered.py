"""A model as the kernels that it will call: which of them compute layers, and how."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import ir

from tvm_sparse import integer_choice, nibble_choice, nibbles, sixteen
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.latency import Epilogue
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import Nibbles
from tvm_sparse.profiling import short
from tvm_sparse.profiling.terms import FORMULA, terms
from tvm_sparse.relay_passes import expr, gpu_pipeline, pipeline, record
from tvm_sparse.targets import Target
from tvm_sparse.workgroup_choice import chooser

_NUMBERED = re.compile(r"(?<=[a-z])\d+(?=_|$)")  # what TVM adds to a name that is taken
_OF_CODES = "(sparse_)?int_linear"  # int4_linear without its number
_LAYER = re.compile(f"{_OF_CODES}|(sparse|dense|integer)_[a-z0-9]+|conv2d|matmul")  # TVM's own too
_SAME = 1e-6  # relative difference of sums of the same weights


AnyChoice = Choice | IntegerChoice | NibbleChoice
"""How a layer is computed: with floats, also of 16 bits, bytes, or codes of 4 bits."""


def stored(choice: AnyChoice) -> str:
    """Return how a layer's weight is stored, e.g. ``dense@1.0/4``."""
    return str(choice.used) if isinstance(choice, NibbleChoice) else choice.stored


_Noted = tuple[AnyChoice, Weight, float]  # how a layer is computed, its weight, and the sum of it


@dataclass(frozen=True, kw_only=True)
class LayerCall:
    """What is known of a kernel that computes a layer.

    Parameters
    ----------
    choice : Choice, IntegerChoice or NibbleChoice
    epilogue : Epilogue
    terms : dict of str to float
        What the predictor sees of it.
    """

    choice: AnyChoice
    epilogue: Epilogue
    terms: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Called:
    """One kernel that a run of the model calls.

    Parameters
    ----------
    name : str
        The function's.
    key : str
        Equal for operators that take the same time: the name without numbers, and shapes.
    layer : LayerCall, optional
        If it computes a layer.
    """

    name: str
    key: str
    layer: LayerCall | None = None


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A model whose operators are fused into kernels that are not scheduled yet.

    Parameters
    ----------
    mod : IRModule
    calls : list of Called
        In the order of execution.
    """

    mod: tvm.IRModule
    calls: list[Called]


def lower(mod: tvm.IRModule, target: Target, sparse: bool) -> Lowered:
    """Lower a simplified module, and tell which kernels it calls.

    Parameters
    ----------
    mod : IRModule
    target : Target
    sparse : bool
        Whether to take out dead channels first, as `tvm_sparse.build` does.
    """
    noted: list[tuple[AnyChoice, Weight]] = []
    choose, halved = chooser(target), {} if target.is_gpu else record.sixteen(mod)

    def note(layer: Layer, weight: Weight, target: Target) -> Choice:
        choice = choose(layer, weight, target)
        is_short = layer.name in halved
        noted.append((short.in_sixteen(choice, weight, target) if is_short else choice, weight))
        return choice

    def note_integers(
        numbers: Integers, layer: Layer, target: Target, sparse: bool
    ) -> IntegerChoice:
        choice = integer_choice.choose(numbers, layer, target)
        noted.append((choice, numbers.weight))
        return choice

    def note_codes(layer: Layer, stored: Nibbles, target: Target, sparse: bool) -> NibbleChoice:
        choice = nibble_choice.choose(layer, stored, target)
        noted.append((choice, nibbles.TABLES[stored.code][stored.codes]))
        return choice

    if target.is_gpu:
        algorithms = gpu_pipeline.lower(target, sparse, note)
    else:
        algorithms = pipeline.lower(
            target, sparse, note, decide_integers=note_integers, decide_nibbles=note_codes
        )
    passes = [*algorithms, *pipeline.fuse()]
    with target.to_tvm():
        fused = tvm.transform.Sequential(passes)(mod)
    left = [(choice, weight, _sum(weight)) for choice, weight in noted]
    calls = [_called(name, args, out, left) for name, args, out in kernels(fused)]
    return Lowered(mod=fused, calls=calls)


def kernels(mod: tvm.IRModule) -> Iterable[tuple[str, list[Any], Any]]:
    """Yield the name, the arguments and the result of each call, in order.

    Arguments are variables, or constants where they are known.
    """
    uses = expr.Uses(mod["main"])
    for var, call in uses.values.items():
        if expr.op_name(call) == "relax.call_tir":
            yield call.args[0].name_hint, [uses.value(arg) for arg in call.args[1].fields], var


def _called(name: str, args: list[Any], out: Any, left: list[_Noted]) -> Called:
    """Return what a call computes; a layer that it computes is taken from those that are left."""
    plain = _NUMBERED.sub("", name).removeprefix("fused_")
    tensors = [arg for arg in args if not isinstance(arg, ir.GenericConst)]
    shapes = " ".join("x".join(map(str, _shape(arg))) for arg in [*tensors, out])
    key = f"{plain} {shapes}"
    computes = _LAYER.match(plain)
    if computes is None:
        return Called(name=name, key=key)
    place = _place([arg for arg in args if isinstance(arg, ir.GenericConst)], left)
    if place is None:
        return Called(name=name, key=key)
    choice, weight, _ = left.pop(place)
    size = np.prod(_shape(out))
    reads = sum(np.prod(_shape(arg)) == size for arg in tensors[1:])
    epilogue = Epilogue(reads=int(reads), operators=plain[computes.end() :].count("_"))
    if isinstance(choice, Choice) and choice.used.bits == 32:
        known = terms(choice, weight, epilogue)
    else:
        known = {FORMULA: choice.kernel.seconds}
    found = LayerCall(choice=choice, epilogue=epilogue, terms=known)
    return Called(name=name, key=key, layer=found)


def _place(constants: list[Any], left: list[_Noted]) -> int | None:
    """Return which of the layers that are left has the weights that a call reads.

    Packing moves weights and adds zeros: the sum of their magnitudes stays.
    """
    values = [constant.value.numpy() for constant in constants]
    sums = [_sum(value) for value in map(_floats, values) if value is not None]
    sums += [first + second for first, second in combinations(sums, 2)]  # a core and a rest
    packed = [value for value in values if value.dtype == np.int32]  # in words
    sums += [_sum(part(value)) for value in packed for part in (_bytes, _codes)]
    for place, (_, _, total) in enumerate(left):
        if any(abs(found - total) <= _SAME * max(total, 1e-30) for found in sums):
            return place
    return None


def _floats(value: npt.NDArray[Any]) -> Weight | None:
    """Return weights that are stored as floats, or in sixteen bits; None of anything else."""
    if value.dtype == np.uint16:
        wide: Weight = (value.astype(np.uint32) << sixteen.BITS).view(np.float32)
        return wide
    return value if value.dtype == np.float32 else None


def _bytes(value: npt.NDArray[Any]) -> Weight:
    return value.view(np.int8)


def _codes(value: npt.NDArray[Any]) -> Weight:
    """Return the integers that codes of four bits in words stand for."""
    pairs = value.view(np.uint8)
    codes = np.concatenate([pairs & 15, pairs >> nibbles.BITS], axis=-1)
    integers: Weight = nibbles.TABLES["int4"][codes]
    return integers


def _sum(weight: Weight) -> float:
    return float(np.abs(weight, dtype=np.float64).sum())


def _shape(value: Any) -> tuple[int, ...]:
    return expr.shape(value) or ()
