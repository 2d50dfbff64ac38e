"""Spell clipping by maxima and minima, whose bounds are tensors like any other operand.

Before::

    y = R.clip(x, 0.0, 6.0)

After::

    y = R.minimum(R.maximum(x, const(0.0)), const(6.0))

TVM's `ToMixedPrecision` expects tensors and stops at bounds that are plain numbers.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from tvm_sparse.relay_passes import expr


@tvm.transform.module_pass(opt_level=0, name="SpellClips")
class SpellClips:
    """Replace ``R.clip`` of float32 tensors."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        return expr.rewrite_functions(mod, lambda mod, func: expr.Rebind(mod, _changes(func)))


def _changes(func: relax.Function) -> dict[relax.Var, expr.Change]:
    return {
        var: _spelled
        for var, call in expr.Uses(func).values.items()
        if expr.op_name(call) == "relax.clip" and expr.is_float32(call)
    }


def _spelled(call: relax.Call, builder: relax.BlockBuilder) -> relax.Expr:
    x, least, most = call.args
    low, high = (relax.const(np.float32(float(bound.value))) for bound in (least, most))
    return relax.op.minimum(builder.emit(relax.op.maximum(x, low)), high)
