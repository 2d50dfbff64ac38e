"""Lower the layers that are faster when their zeros are skipped, and report on all layers.

Before::

    y = R.nn.conv2d(x, w, ...)

After, if w has zeros that pay::

    y = R.call_tir(sparse_conv2d, (x, values, offset, ptr), out_ty=...)

Layers that stay dense are left to `LowerDense`, unless a kernel other than its own was decided on.
The pattern of the zeros, the format and the kernel are found by `tvm_sparse.choose`; the weights
are packed into constants here, at compile time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tvm
from tvm import relax

from tvm_sparse import halves, implement, widen
from tvm_sparse.choose import Choice, choose, stay_dense
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, fuse_pooling, layers, record, scope
from tvm_sparse.report import LayerReport
from tvm_sparse.sixteen import BITS
from tvm_sparse.targets import Target

Decide = Callable[[Layer, Weight, Target], Choice]


@tvm.transform.module_pass(opt_level=0, name="PackSparse")
class PackSparse(scope.ForTarget):
    """Replace layers by sparse kernels where these are predicted to be faster.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        With ``False`` every layer stays dense, and only the report is written.
    decide : callable, optional
        Takes a layer, its weight and the target, and returns a `Choice`, in place of
        `tvm_sparse.choose.choose`.
    """

    def __init__(
        self, target: Target | None = None, sparse: bool = True, decide: Decide | None = None
    ) -> None:
        super().__init__(target)
        self.choose = decide or (choose if sparse else stay_dense)

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        target = self.target
        rows: list[LayerReport] = []
        names, stored = record.names(mod), record.sixteen(mod)

        def decide(layer: Layer, weight: Weight) -> Choice:
            return halves.noted(self.choose(layer, weight, halves.unit(layer, target)))

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            pooled = fuse_pooling.taken(uses, target)
            return _changes(uses, decide, names, stored, rows, pooled, target.has_halves)

        mod = expr.rebind(mod, changes)
        return record.add(mod, rows)


def _changes(
    uses: expr.Uses,
    decide: Callable[[Layer, Weight], Choice],
    names: dict[str, str],
    stored: dict[str, str],
    rows: list[LayerReport],
    pooled: set[relax.Var],
    has_halves: bool,
) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
            continue
        value, name = uses.constant(call.args[1]), names.get(var.name, var.name)
        layer = layers.layer_of(call, value, name, has_halves)
        if isinstance(layer, str):
            rows.extend([] if value is None else [_untouched(call, value, name, layer)])
            continue
        assert value is not None  # or it were no layer of ours
        weight = layers.weight_of(layer, value)
        choice = decide(layer, weight)
        if choice.is_tuned_dense and var in pooled:
            choice = replace(choice, kernel=choice.dense, reason="its sums are pooled")
        nbytes, short = value.nbytes, stored.get(name, "")
        if choice.is_sparse or choice.is_tuned_dense or short:
            bound = implement.chosen(choice, weight)
            bound = widen.stored(bound, short) if short else halves.typed(bound, layer)
            nbytes = bound.nbytes if choice.is_sparse or short else nbytes
            changes[var] = functools.partial(
                emit.layer_call, layer=layer, tile=choice.kernel.tile, bound=bound
            )
        rows.append(_row(choice, value, nbytes, short))
    return changes


def _row(choice: Choice, weight: Any, nbytes: int, short: str) -> LayerReport:
    return LayerReport.of(
        choice.layer,
        weight,
        found=str(choice.found),
        stored=_stored(choice, short),
        kernel=str(choice.kernel),
        reason=f"{choice.reason}, weights in {short}" if short else choice.reason,
        nbytes=nbytes,
        dense_nbytes=weight.nbytes,
        seconds=choice.kernel.seconds,
        dense_seconds=choice.dense.seconds,
    )


def _stored(choice: Choice, short: str) -> str:
    """Return the scheme in which a weight is stored; just ``dense`` where that is in floats."""
    if not short:
        return choice.stored if choice.is_sparse else "dense"
    parts = [choice.used] if choice.rest is None else [choice.used, choice.rest]
    return " + ".join(str(replace(part, bits=BITS)) for part in parts)


def _untouched(call: relax.Call, weight: Any, name: str, why: str) -> LayerReport:
    return LayerReport(
        name=name,
        op=expr.op_name(call).rsplit(".", 1)[-1],
        weight=weight.shape,
        input=(),
        macs=0,
        density=float((weight != 0).mean()),
        found="",
        stored="untouched",
        kernel="TVM's own",
        reason=why,
        nbytes=weight.nbytes,
        dense_nbytes=weight.nbytes,
        seconds=0.0,
        dense_seconds=0.0,
    )
