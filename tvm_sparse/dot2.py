"""The operator on pairs of bfloat16 that kernels are made of, as TIR knows it.

``dot2(total, inputs, weights)`` is ``total + Σ number i of inputs × number i of weights`` for the
two bfloat16 of two 32-bit words, in floats. Schedules vectorize it like a multiplication;
`tvm_sparse.relay_passes.lower_pairs` turns it into what the CPU has.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

DOT2 = "tvm_sparse.dot2"
_PURE = 1  # TVM's CallEffectKind of a function without side effects

ir.register_op_attr(DOT2, "TVectorizable", True)
ir.register_op_attr(DOT2, "TCallEffectKind", _PURE)
ir.register_op_attr(DOT2, "TScriptPrinterName", DOT2)


def dot2(total: Any, inputs: Any, weights: Any) -> Any:
    """Return the call; the total and the result are float32, words are int32."""
    return tirx.call_intrin("float32", DOT2, total, inputs, weights)
