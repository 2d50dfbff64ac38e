"""The operators on words that integer kernels are made of, as TIR knows them.

``dot4(total, inputs, weights)`` is ``total + Σ byte i of inputs × byte i of weights`` for the
four bytes of two 32-bit words: those of inputs are unsigned, those of weights signed. ``max4(a,
b)`` is the word of the larger of each two unsigned bytes. Schedules vectorize them like
multiplications; `tvm_sparse.relay_passes.lower_words` turns them into what the CPU has.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

DOT4, MAX4 = "tvm_sparse.dot4", "tvm_sparse.max4"
_PURE = 1  # TVM's CallEffectKind of a function without side effects

for _name in (DOT4, MAX4):
    ir.register_op_attr(_name, "TVectorizable", True)
    ir.register_op_attr(_name, "TCallEffectKind", _PURE)
    ir.register_op_attr(_name, "TScriptPrinterName", _name)


def dot4(total: Any, inputs: Any, weights: Any) -> Any:
    """Return the call; all three operands, and the result, are int32."""
    return tirx.call_intrin("int32", DOT4, total, inputs, weights)


def max4(a: Any, b: Any) -> Any:
    """Return the call; both operands, and the result, are int32."""
    return tirx.call_intrin("int32", MAX4, a, b)
