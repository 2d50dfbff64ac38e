"""Lower linear layers that are to be computed in bfloat16, where that is faster.

Before, in a module that is marked by `tvm_sparse.building`::

    y = R.matmul(x, w)

After::

    words = R.call_tir(pairs, (x,), …)                      # two channels of x each
    y = R.call_tir(bfloat16_linear, (words, values), …)     # float32

Layers that are predicted to be as fast in floats are left to `PackSparse`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import tvm
from tvm import relax

from tvm_sparse import choose, implement_pairs, pairs
from tvm_sparse.algorithms import amx_pairs
from tvm_sparse.algorithms import pairs as algorithm
from tvm_sparse.amx import AmxPanelTile
from tvm_sparse.choose import Choice
from tvm_sparse.implement import Implementation
from tvm_sparse.layer import Layer
from tvm_sparse.pairs import PairChoice
from tvm_sparse.relay_passes import emit, expr, layers, record, scope
from tvm_sparse.report import LayerReport
from tvm_sparse.sixteen import BITS
from tvm_sparse.targets import Target


@tvm.transform.module_pass(opt_level=0, name="PackPairs")
class PackPairs(scope.ForTarget):
    """Replace linear layers of marked modules by kernels over pairs of bfloat16.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether zeros may be skipped.
    """

    def __init__(self, target: Target | None = None, sparse: bool = True) -> None:
        super().__init__(target)
        self.decide = choose.choose if sparse else choose.stay_dense

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        if not record.wants_pairs(mod):
            return mod
        names, kept, target = record.names(mod), record.precisions(mod), self.target
        rows: list[LayerReport] = []

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            found: dict[relax.Var, expr.Change] = {}
            for var, call in uses.values.items():
                name = names.get(var.name, var.name)
                if expr.op_name(call) != layers.LINEAR or name in kept:
                    continue
                value = uses.constant(call.args[1])
                layer = layers.layer_of(call, value, name)
                if not isinstance(layer, Layer):
                    continue
                weight = layers.weight_of(layer, value)
                floats = self.decide(layer, weight, target)
                choice = pairs.choose(floats, weight, target)
                if choice is not None:
                    bound = implement_pairs.implement(choice)
                    found[var] = functools.partial(_emit, choice=choice, bound=bound)
                    rows.append(_row(floats, choice, weight, bound.nbytes))
            return found

        return record.add(expr.rebind(mod, changes), rows)


def _emit(
    call: Any, builder: relax.BlockBuilder, choice: PairChoice, bound: Implementation
) -> relax.Expr:
    join, tile = algorithm.joined, choice.kernel.tile
    if isinstance(tile, AmxPanelTile):
        rows, number = amx_pairs.whole(choice.layer, tile)
        join = functools.partial(amx_pairs.joined, rows=rows, words=number)
    words = builder.emit_te(join, call.args[0], primfunc_name_hint="pairs")
    args = [words, *emit.constants(bound)]
    return emit.kernel_call(builder, bound.func, bound.name, args, call.ty)


def _row(floats: Choice, choice: PairChoice, weight: Any, nbytes: int) -> LayerReport:
    gain = floats.kernel.seconds / choice.kernel.seconds
    return LayerReport.of(
        floats.layer,
        weight,
        found=str(replace(floats.found, bits=BITS)),
        stored=str(choice.used(floats)),
        kernel=f"{choice.kernel}, pairs of bfloat16",
        reason=f"predicted {gain:.1f}× as fast as float32",
        nbytes=nbytes,
        dense_nbytes=4 * weight.size,
        seconds=choice.kernel.seconds,
        dense_seconds=floats.dense.seconds,
    )
