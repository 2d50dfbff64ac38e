"""Lower layers to products over workgroups, and report on all layers.

Before::

    y = R.nn.conv2d(x, w, ...)

After, for any w, and for a linear layer's if it has zeros that pay::

    y = R.call_tir(sparse_conv2d, (x, values, offset, ptr), out_ty=...)

Depthwise and grouped convolutions, and dense linear layers, are left to TVM's schedules.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import tvm
from tvm import relax

from tvm_sparse import choose, chunked
from tvm_sparse.algorithms import workgroups
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, record
from tvm_sparse.report import LayerReport
from tvm_sparse.workgroup import Workgroup

_MARGIN = 0.9  # a sparse kernel must be predicted to take at most this share of the dense time


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
        layer = layers.layer_of(call, value, name)
        if isinstance(layer, str):
            continue
        weight = layers.weight_of(layer, value)
        tile, skips, reason = _decide(layer, weight, sparse)
        nbytes = weight.nbytes
        if tile is not None:
            bound = _implement(_rows(layer), tile, weight, every=not skips)
            nbytes = bound.nbytes if skips else nbytes
            changes[var] = functools.partial(_call, layer=layer, bound=bound)
        rows.append(_row(layer, weight, tile, skips, reason, nbytes))
    return changes


def _decide(layer: Layer, weight: Weight, sparse: bool) -> tuple[Workgroup | None, bool, str]:
    """Return the workgroup, None for TVM's own schedule, whether zeros are skipped, and why."""
    whole = chunked.best(layer, weight * 0 + 1)
    found = chunked.best(layer, weight) if sparse else None
    if whole is None:
        return None, False, "grouped, or its window is too large for a workgroup"
    if found is not None and found[1] <= _MARGIN * whole[1]:
        return found[0], True, f"{whole[1] / found[1]:.1f}× less to multiply and to load"
    reason = "zeros do not pay" if (weight == 0).any() else "no zeros"
    return (whole[0] if layer.op == "conv2d" else None), False, reason


def _rows(layer: Layer) -> Layer:
    """Return a linear layer as one on a plain list of rows, unless it is as good as that."""
    if layer.op == "conv2d" or (len(layer.input) < 3 and layer.positions in layer.input):
        return layer
    return replace(layer, input=(layer.positions,))


def _implement(layer: Layer, tile: Workgroup, weight: Weight, every: bool) -> Implementation:
    packed = chunked.pack(layer, tile, weight, every)
    func = workgroups.product(layer, tile, packed)
    name = f"{'dense' if every else 'sparse'}_{layer.op}"
    return Implementation(func=func, name=name, constants=packed.arrays)


def _call(
    call: relax.Call, builder: relax.BlockBuilder, layer: Layer, bound: Implementation
) -> relax.Expr:
    x, kind, nested = call.args[0], call.ty, _rows(layer) != layer
    if nested:
        x = builder.emit(relax.op.reshape(x, (layer.positions, layer.channels)))
        kind = relax.TensorType((layer.positions, layer.filters), "float32")
    args = [x, *emit.constants(bound)]
    y = emit.kernel_call(builder, bound.func, bound.name, args, kind)
    return relax.op.reshape(builder.emit(y), (*layer.input, layer.filters)) if nested else y


def _row(
    layer: Layer, weight: Weight, tile: Workgroup | None, skips: bool, reason: str, nbytes: int
) -> LayerReport:
    found = choose.find(weight)
    kernel = "TVM's own"
    if tile is not None:
        kernel = f"{tile.blocks}×{tile.filters} filters × {tile.height}×{tile.width}"
    return LayerReport.of(
        layer,
        weight,
        found=str(found),
        stored=f"block_punched-{tile.filters}x1" if tile is not None and skips else "dense",
        kernel=kernel,
        reason=reason,
        nbytes=nbytes,
        dense_nbytes=weight.nbytes,
        seconds=0.0,
        dense_seconds=0.0,
    )
