"""Schedule every TIR function: the first rule that knows it, the last rule knows all.

Before::

    for b, t, o, i, k in T.grid(...): with T.sblock("product"): ...

After::

    for tile in T.parallel(...): ... T.vectorized(16) ...

The rules are those of `tvm_sparse.schedules.rules`, in their order.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx

from tvm_sparse.relay_passes import hoist_loads, scope
from tvm_sparse.relay_passes.narrow_last_tile import NarrowLastTile
from tvm_sparse.relay_passes.peel_tails import PeelTails
from tvm_sparse.relay_passes.tighten_loops import TightenLoops
from tvm_sparse.schedules import rules


@tvm.transform.module_pass(opt_level=0, name="ScheduleFunctions")
class ScheduleFunctions(scope.ForTarget):
    """Apply the ordered schedule rules, then give ragged loops their true extents.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Schedule what is not scheduled yet."""
        target = self.target
        with target.to_tvm():
            mod = s_tir.dlight.ApplyDefaultSchedule(*rules(target))(mod)
        left = [
            var.name_hint
            for var, func in mod.functions_items()
            if isinstance(func, tirx.PrimFunc) and not func.attrs.get("tirx.is_scheduled", False)
        ]
        assert not left, f"no schedule rule knows {left}"
        mod = tvm.transform.Sequential([TightenLoops(), NarrowLastTile(), PeelTails()])(mod)
        return hoist_loads.marked(mod) if target.in_order else mod
