"""Lower layer norms of transposed matrices to our kernel, which keeps rows in vector lanes.

Before::

    n = R.nn.layer_norm(x, gamma, beta, axes=[0])     # x: (features, rows)

After::

    n = R.call_tir(layer_norm, (x, gamma, beta), out_ty=...)
"""

from __future__ import annotations

import tvm
from tvm import relax

from tvm_sparse.algorithms.layer_norm import layer_norm
from tvm_sparse.relay_passes import emit, expr, scope


@tvm.transform.module_pass(opt_level=0, name="LowerNorms")
class LowerNorms(scope.ForTarget):
    """Replace layer norms over the first axis of float32 matrices.

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
        features, rows = expr.shape(call) or (0, 0)
        func = layer_norm(features, rows, float(call.attrs.epsilon), lanes)
        return emit.kernel_call(builder, func, "layer_norm", list(call.args), call.ty)

    return {var: change for var, call in uses.values.items() if _is_ours(call)}


def _is_ours(call: relax.Expr) -> bool:
    if expr.op_name(call) != "relax.nn.layer_norm" or not expr.is_float32(call):
        return False
    first = [int(axis) for axis in call.attrs.axes] == [0] and len(expr.shape(call) or ()) == 2
    return first and bool(call.attrs.center) and bool(call.attrs.scale)
