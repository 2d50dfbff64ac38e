"""Lower linear layers whose weights are to be stored in four bits.

Before, where `record.precisions` says so and the weights of w are what codes stand for::

    y = R.matmul(x, w)                                      # w: float32

After::

    y = R.call_tir(int4_linear, (x, words, scale, table), out_ty=...)

The weights are looked at again here, and not taken on trust: passes before may have changed them. A
layer that no codes stand for exactly stays in float, and the report says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tvm
from tvm import relax

from tvm_sparse import implement_nibbles, nibble_choice, nibbles
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import BITS, Nibbles
from tvm_sparse.precision import Precision
from tvm_sparse.relay_passes import emit, expr, layers, record, scope
from tvm_sparse.report import LayerReport
from tvm_sparse.targets import Target

_LAYERS = (layers.CONV, layers.LINEAR)

Decide = Callable[[Layer, Nibbles, Target, bool], NibbleChoice]
"""Takes a layer, its codes, the target, and whether zeros may be skipped."""


@tvm.transform.module_pass(opt_level=0, name="PackNibbles")
class PackNibbles(scope.ForTarget):
    """Replace linear layers by kernels over codes of four bits.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether zeros may be skipped.
    decide : callable, optional
        How to compute each layer, in place of `tvm_sparse.nibble_choice.choose`.
    """

    def __init__(
        self,
        target: Target | None = None,
        sparse: bool = True,
        decide: Decide = nibble_choice.choose,
    ) -> None:
        super().__init__(target)
        self.sparse, self.decide = sparse, decide

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        names, wanted, rows = record.names(mod), record.precisions(mod), []
        notes: list[str] = []

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            found: dict[relax.Var, expr.Change] = {}
            for var, call in uses.values.items():
                name = names.get(var.name, var.name)
                if expr.op_name(call) not in _LAYERS or name not in wanted:
                    continue
                read = _read(uses, call, name, wanted[name])
                if isinstance(read, str):
                    notes.extend([f"{name} stays in float: {read}"] if read else [])
                    continue
                found[var], row = _lowered(self.decide(*read, self.target, self.sparse))
                rows.append(row)
            return found

        if all(precision.bits != BITS for precision in wanted.values()):
            return mod
        mod = record.add(expr.rebind(mod, changes), rows)
        return functools.reduce(record.note, notes, mod)


def _read(
    uses: expr.Uses, call: relax.Call, name: str, wanted: Precision
) -> tuple[Layer, Nibbles] | str:
    """Return a layer and its codes, why it has none, or nothing if it has other bits."""
    if wanted.bits != BITS:
        return ""
    if expr.op_name(call) != layers.LINEAR:
        return "kernels of four bits are for linear layers"
    value = uses.constant(call.args[1])
    layer = layers.layer_of(call, value, name)
    if isinstance(layer, str):
        return layer
    stored = _stored(layers.weight_of(layer, value), wanted)
    if stored is None:
        return (
            f"its weights are not what codes of {wanted} stand for: zero points must be whole "
            "numbers, and nothing may change weights after they were quantized"
        )
    return layer, stored


def _stored(weight: Weight, wanted: Precision) -> Nibbles | None:
    if wanted.name == "power_of_two":
        return nibbles.find_powers(weight)
    return nibbles.find_integers(weight, wanted.group)


def _lowered(choice: NibbleChoice) -> tuple[expr.Change, LayerReport]:
    layer, bound = choice.layer, implement_nibbles.implement(choice)
    change = functools.partial(emit.layer_call, layer=layer, tile=choice.kernel.tile, bound=bound)
    return change, _row(choice, layer, bound.nbytes)


def _row(choice: NibbleChoice, layer: Layer, nbytes: int) -> LayerReport:
    return LayerReport.of(
        layer,
        choice.stored.kept,
        found=str(choice.found),
        stored=str(choice.used),
        kernel=str(choice.kernel),
        reason=choice.reason,
        nbytes=nbytes,
        dense_nbytes=4 * choice.stored.codes.size,
        seconds=choice.kernel.seconds,
        dense_seconds=choice.dense_seconds,
    )
