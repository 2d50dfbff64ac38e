"""Lower transposes of matrices to our register-blocked kernel.

Before::

    t = R.permute_dims(x, axes=[1, 0])

After::

    t = R.call_tir(transpose, (x,), out_ty=...)
"""

from __future__ import annotations

import tvm
from tvm import relax

from tvm_sparse.algorithms.transpose import transpose
from tvm_sparse.relay_passes import emit, expr, scope


@tvm.transform.module_pass(opt_level=0, name="LowerTransposes")
class LowerTransposes(scope.ForTarget):
    """Replace transposes of float32 matrices.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        lanes = self.target.lanes
        return expr.rebind(mod, lambda uses: _changes(uses, lanes))


def _changes(uses: expr.Uses, lanes: int) -> dict[relax.Var, expr.Change]:
    def change(call: relax.Call, builder: relax.BlockBuilder) -> relax.Expr:
        rows, columns = expr.shape(call.args[0]) or (0, 0)
        func = transpose(rows, columns, lanes)
        return emit.kernel_call(builder, func, "transpose", [call.args[0]], call.ty)

    return {
        var: change
        for var, call in uses.values.items()
        if expr.op_name(call) == "relax.permute_dims"
        and expr.is_float32(call)
        and len(expr.shape(call) or ()) == 2
    }
