"""Lower layers to products over workgroups, and report on all layers.

Before::

    y = R.nn.conv2d(x, w, ...)

After, for any w, and for a linear layer's if it has zeros that pay::

    y = R.call_tir(sparse_conv2d, (x, values, offset, ptr), out_ty=...)

Depthwise convolutions and dense linear layers are left to TVM's schedules. Sums of halves are
floats.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import tvm
from tvm import relax

from tvm_sparse import halves, implement_workgroups, workgroup_choice
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.implement_workgroups import Decision
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, record, scope, stock_product
from tvm_sparse.report import LayerReport
from tvm_sparse.targets import Target
from tvm_sparse.workgroup import Workgroup
from tvm_sparse.workgroup_choice import Decide


@tvm.transform.module_pass(opt_level=0, name="PackForGpu")
class PackForGpu(scope.ForTarget):
    """Replace layers by products over workgroups.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        With ``False`` every weight is stored.
    decide : callable, optional
        Takes a layer, its weight and the target, and returns a `Choice`, in place of
        `tvm_sparse.workgroup_choice.choose`.
    """

    def __init__(
        self, target: Target | None = None, sparse: bool = True, decide: Decide | None = None
    ) -> None:
        super().__init__(target)
        usual = workgroup_choice.choose if sparse else workgroup_choice.stay_dense
        self.choose = decide or usual

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        target = self.target
        rows: list[LayerReport] = []
        names = record.names(mod)

        def decide(layer: Layer, weight: Weight) -> Choice:
            return self.choose(layer, weight, target)

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            return _changes(uses, decide, names, rows)

        mod = expr.rebind(mod, changes)
        return record.add(mod, rows)


def _changes(
    uses: expr.Uses,
    decide: Callable[[Layer, Weight], Choice],
    names: dict[str, str],
    rows: list[LayerReport],
) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
            continue
        value, name = uses.constant(call.args[1]), names.get(var.name, var.name)
        layer = layers.layer_of(call, value, name, halves=True)
        if isinstance(layer, str):
            continue
        weight = layers.weight_of(layer, value)
        choice = decide(layer, weight)
        nbytes = _nbytes(layer, weight)
        if isinstance(choice.kernel.tile, Workgroup):
            bound = implement(choice, weight)
            nbytes = bound.nbytes if choice.is_sparse else nbytes
            changes[var] = functools.partial(_call, layer=layer, bound=bound)
        rows.append(_row(choice, weight, nbytes))
    return changes


def implement(choice: Choice, weight: Weight) -> Implementation:
    """Return the implementation of a choice; over workgroups, a linear layer's is on plain rows."""
    tile = choice.kernel.tile
    if not isinstance(tile, Workgroup):
        return stock_product.implement(choice.layer, weight)
    decision = Decision(tile=tile, skips=choice.is_sparse)
    return implement_workgroups.floats(_rows(choice.layer), decision, weight)


def _rows(layer: Layer) -> Layer:
    """Return a linear layer as one on a plain list of rows, unless it is as good as that."""
    if layer.op == "conv2d" or (len(layer.input) < 3 and layer.positions in layer.input):
        return layer
    return replace(layer, input=(layer.positions,))


def _call(
    call: relax.Call, builder: relax.BlockBuilder, layer: Layer, bound: Implementation
) -> relax.Expr:
    x, kind, nested = call.args[0], call.ty, _rows(layer) != layer
    if nested:
        x = builder.emit(relax.op.reshape(x, (layer.positions, layer.channels)))
        kind = relax.TensorType((layer.positions, layer.filters), layer.dtype)
    args = [x, *emit.constants(bound)]
    y = emit.kernel_call(builder, bound.func, bound.name, args, kind)
    return relax.op.reshape(builder.emit(y), (*layer.input, layer.filters)) if nested else y


def _row(choice: Choice, weight: Weight, nbytes: int) -> LayerReport:
    layer, tile = choice.layer, choice.kernel.tile
    return LayerReport.of(
        layer,
        weight,
        found=str(replace(choice.found, bits=_bits(layer))),
        stored=f"block_punched-{tile.filters}x1" if choice.is_sparse else "dense",
        kernel=str(tile),
        reason=choice.reason,
        nbytes=nbytes,
        dense_nbytes=_nbytes(layer, weight),
        seconds=0.0,
        dense_seconds=0.0,
    )


def _nbytes(layer: Layer, weight: Weight) -> int:
    """Return the bytes of a weight as its layer stores it whole."""
    return weight.size * _bits(layer) // 8


def _bits(layer: Layer) -> int:
    return 16 if layer.dtype == halves.DTYPE else 32
