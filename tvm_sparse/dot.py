"""The operator that integer kernels are made of, as TIR knows it.

``dot4(total, inputs, weights)`` is ``total + Σ byte i of inputs × byte i of weights`` for the
four bytes of two 32-bit words: those of inputs are unsigned, those of weights signed. Schedules
vectorize it like a multiplication; `tvm_sparse.relay_passes.lower_words` turns it into what the
CPU has.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

DOT4 = "tvm_sparse.dot4"
_PURE = 1  # TVM's CallEffectKind of a function without side effects

ir.register_op_attr(DOT4, "TVectorizable", True)
ir.register_op_attr(DOT4, "TCallEffectKind", _PURE)
ir.register_op_attr(DOT4, "TScriptPrinterName", "dot4")


def dot4(total: Any, inputs: Any, weights: Any) -> Any:
    """Return the call; all three operands, and the result, are int32."""
    return tirx.call_intrin("int32", DOT4, total, inputs, weights)
