"""Find the least or greatest element of a tensor row by row, then that of the rows.

Before::

    y = R.max(x)                                                # (1, 64, 56, 56) → ()

After::

    r = R.call_tir(max, (R.reshape(x, (392, 512)),), ...)       # (392,), in vectors
    y = R.call_tir(max, (r,), ...)

One result alone leaves nothing to put in vector lanes, and each comparison waits for the last.
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import relax
from tvm.relax import op

from tvm_sparse.relay_passes import expr

_ROWS = (512, 256, 128, 64)  # elements of a row, where they divide the tensor's
_OPS = {"relax.max": op.max, "relax.min": op.min}


def _lower(name: str) -> Any:
    by_tvm = tvm.ir.Op.get(name).get_attr("FLegalize")

    def lower(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, size = call.args[0], math.prod(expr.shape(call.args[0]) or (0,))
        row = next((row for row in _ROWS if size > row and size % row == 0), 0)
        if call.attrs.axis is not None or call.attrs.keepdims or not row:
            return by_tvm(builder, call)
        x = builder.emit(op.reshape(x, (size // row, row)))
        each = builder.emit(by_tvm(builder, builder.normalize(_OPS[name](x, axis=[1]))))
        return by_tvm(builder, builder.normalize(_OPS[name](each)))

    return lower


LEGALIZE: dict[str, Any] = {name: _lower(name) for name in _OPS}
"""For `relax.transform.LegalizeOps`."""
