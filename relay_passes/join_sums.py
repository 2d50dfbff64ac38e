"""Compute the sum of two 1×1 convolutions as one, of both inputs.

Before::

    y = R.add(R.nn.conv2d(a, v), b)            # a: (1, 64, 56, 56); y: (1, 256, 56, 56)
    z = R.add(R.nn.conv2d(c, w), d)            # c: (1, 64, 56, 56)
    s = R.add(y, z)

After::

    x = R.concat((a, c), axis=1)               # (1, 128, 56, 56)
    s = R.add(R.nn.conv2d(x, v|w), b + d)

A residual block whose shortcut is a convolution ends so. The inputs that are copied have together
no more channels than the sum, which would be written and read once more; and the zeros of both
weights must be as good for one kernel as they are for two. Both are to be stored in equally many
bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.choose import choose, stay_dense
from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision
from tvm_sparse.relay_passes import expr, layers, record, scope
from tvm_sparse.relay_passes.elementwise import varies_along
from tvm_sparse.targets import Target

Array = npt.NDArray[Any]


@tvm.transform.module_pass(opt_level=0, name="JoinSums")
class JoinSums(scope.ForTarget):
    """Join the pointwise convolutions that are added up, where one kernel is predicted faster.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether zeros will be used.
    """

    def __init__(self, target: Target | None = None, sparse: bool = True) -> None:
        super().__init__(target)
        self.choose = choose if sparse else stay_dense

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what nobody reads any more."""
        names, stored = record.names(mod), record.precisions(mod)

        def pays(both: Term, one: Term, other: Term) -> bool:
            joint, *apart = (
                self.choose(term.layer, term.weight, self.target).kernel.seconds
                for term in (both, one, other)
            )
            return joint <= sum(apart)

        mod = expr.rebind(mod, lambda uses: _changes(uses, pays, names, stored))
        mod = record.with_names(mod, names)
        mod = record.with_precisions(mod, stored) if stored else mod
        tidy = [relax.transform.CanonicalizeBindings(), relax.transform.DeadCodeElimination()]
        return tvm.transform.Sequential(tidy)(mod)


@dataclass(frozen=True)
class Term:
    """One operand of a sum: a layer, its weight, and a bias that is added to it."""

    variables: tuple[str, ...]
    layer: Layer
    weight: Array
    bias: Array


def _changes(
    uses: expr.Uses, pays: Any, names: dict[str, str], stored: dict[str, Precision]
) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        if expr.op_name(call) != "relax.add":
            continue
        one, other = (_term(uses, arg) for arg in call.args)
        both = None if one is None or other is None else _joined(one, other)
        if both is None or len(_precisions(both, names, stored)) > 1:
            continue
        if pays(both, one, other):
            changes[var] = functools.partial(_join, both=both, names=names, stored=stored)
    return changes


def _precisions(
    both: Term, names: dict[str, str], stored: dict[str, Precision]
) -> set[Precision | None]:
    """Return in which numbers the layers of a sum are to be stored; None is floats."""
    return {stored.get(names.get(var, var)) for var in both.variables}


def _term(uses: expr.Uses, arg: Any) -> Term | None:
    """Return an operand that is a pointwise convolution which nobody else reads, or None."""
    call, bias = uses.value(arg), np.zeros(1, np.float32)
    if expr.op_name(call) == "relax.add" and uses.read_once(arg):
        known = [uses.constant(operand) for operand in call.args]
        if sum(value is not None for value in known) != 1:
            return None
        bias = next(value for value in known if value is not None)
        if not varies_along(bias, 1, 4):
            return None
        arg = call.args[0 if known[0] is None else 1]
        call = uses.value(arg)
    if expr.op_name(call) != layers.CONV or not uses.read_once(arg):
        return None
    weight = uses.constant(call.args[1])
    layer = layers.layer_of(call, weight, arg.name)
    if weight is None or isinstance(layer, str) or not layer.pointwise or layer.groups != 1:
        return None
    return Term((arg.name,), layer, weight, bias.reshape(-1))


def _joined(one: Term, other: Term) -> Term | None:
    """Return the convolution of both inputs, or None if these have more channels than its sum."""
    channels = one.layer.channels + other.layer.channels
    if one.layer.output != other.layer.output or channels > one.layer.filters:
        return None
    weight = np.concatenate([one.weight, other.weight], axis=1)
    layer = replace(one.layer, weight=weight.shape)
    return Term(one.variables + other.variables, layer, weight, one.bias + other.bias)


def _join(
    add: relax.Call,
    builder: relax.BlockBuilder,
    both: Term,
    names: dict[str, str],
    stored: dict[str, Precision],
) -> relax.Expr:
    """Return the joint convolution and its bias, and note its name and in which bits it is."""
    calls = [_convolution(builder, arg) for arg in add.args]
    x = builder.emit(relax.op.concat([call.args[0] for call in calls], axis=1))
    first = calls[0]
    conv = relax.Call(first.op, [x, expr.const(both.weight)], first.attrs, first.ty_args)
    y = builder.emit(conv)
    names[y.name] = name = " + ".join(names.get(var, var) for var in both.variables)
    (precision,) = _precisions(both, names, stored)
    if precision is not None:
        stored[name] = precision
    if not both.bias.any():
        return y
    return relax.op.add(y, expr.const(both.bias.reshape(1, -1, 1, 1)))


def _convolution(builder: relax.BlockBuilder, arg: Any) -> relax.Call:
    """Return the convolution that an operand is, or to which it adds a bias."""
    call = expr.definition(builder, arg)
    while expr.op_name(call) != layers.CONV:
        data = next(i for i, a in enumerate(call.args) if expr.constant(builder, a) is None)
        call = expr.definition(builder, call.args[data])
    return call
