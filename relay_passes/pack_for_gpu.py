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
from dataclasses import replace

import tvm
from tvm import relax

from tvm_sparse import choose, halves, implement_workgroups
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.implement_workgroups import Decision
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, record
from tvm_sparse.report import LayerReport


@tvm.transform.module_pass(opt_level=0, name="PackForGpu")
class PackForGpu:
    """Replace layers by products over workgroups.

    Parameters
    ----------
    sparse : bool
        With ``False`` every weight is stored.
    """

    def __init__(self, sparse: bool = True) -> None:
        self.sparse = sparse

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        rows: list[LayerReport] = []
        names = record.names(mod)

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            return _changes(uses, self.sparse, names, rows)

        mod = expr.rebind(mod, changes)
        return record.add(mod, rows)


def _changes(
    uses: expr.Uses, sparse: bool, names: dict[str, str], rows: list[LayerReport]
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
        found, reason = _decide(layer, weight, sparse)
        nbytes = _nbytes(layer, weight)
        if found is not None:
            bound = implement_workgroups.floats(_rows(layer), found, weight)
            nbytes = bound.nbytes if found.skips else nbytes
            changes[var] = functools.partial(_call, layer=layer, bound=bound)
        rows.append(_row(layer, weight, found, reason, nbytes))
    return changes


def _decide(layer: Layer, weight: Weight, sparse: bool) -> tuple[Decision | None, str]:
    """Return the decision, None for TVM's own schedule, and why."""
    if layer.depthwise:
        return None, "one channel a filter: nothing to skip"
    found = implement_workgroups.decide(layer, weight, sparse)
    if found is None:
        return None, "its window is too large for a workgroup"
    mine = found.skips or layer.op == "conv2d"
    return (found if mine else None), found.reason(weight)


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


def _row(
    layer: Layer, weight: Weight, decision: Decision | None, reason: str, nbytes: int
) -> LayerReport:
    skips = decision is not None and decision.skips
    return LayerReport.of(
        layer,
        weight,
        found=str(replace(choose.find(weight), bits=_bits(layer))),
        stored=f"block_punched-{decision.tile.filters}x1" if decision and skips else "dense",
        kernel="TVM's own" if decision is None else str(decision.tile),
        reason=reason,
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
