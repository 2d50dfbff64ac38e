"""The operators on words that integer kernels are made of, as TIR knows them.

``dot4(total, inputs, weights)`` is ``total + Σ byte i of inputs × byte i of weights`` for the
four bytes of two 32-bit words: those of weights are signed, those of inputs as `Dot` says.
``max4(a, b)`` is the word of the larger of each two bytes, ``join4(a, b, c, d)`` the word of the
lowest bytes of four numbers, or of signed bytes that saturate. ``rounded(x)`` is the float x, which
LLVM would fuse with an addition otherwise; ``multiply_add(x, y, z)`` is x · y + z, rounded once.
Schedules vectorize all of them like multiplications; `tvm_sparse.relay_passes.lower_words` turns
them into what the CPU has.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

from tvm_sparse.dot import PLAIN, Dot

DOT4, MAX4, JOIN4 = "tvm_sparse.dot4", "tvm_sparse.max4", "tvm_sparse.join4"
SATURATE4, ROUNDED = "tvm_sparse.saturate4", "tvm_sparse.rounded"
MULTIPLY_ADD, PAIRED = "tvm_sparse.multiply_add", "tvm_sparse.dot4_paired"
_PURE = 1  # TVM's CallEffectKind of a function without side effects
_KINDS = [Dot(signed=signed, narrow=narrow) for signed in (False, True) for narrow in (False, True)]


def _suffix(dot: Dot) -> str:
    return "_signed" * dot.signed + "_narrow" * dot.narrow


DOTS = {DOT4 + _suffix(dot): dot for dot in _KINDS}  # the operators, and what they multiply
DOTS[PAIRED] = PLAIN  # two taps at a time, where a pass finds two
MAXIMA = {MAX4 + _suffix(dot): dot for dot in _KINDS if not dot.narrow}

for _name in (*DOTS, *MAXIMA, JOIN4, SATURATE4, ROUNDED, MULTIPLY_ADD):
    ir.register_op_attr(_name, "TVectorizable", True)
    ir.register_op_attr(_name, "TCallEffectKind", _PURE)
    ir.register_op_attr(_name, "TScriptPrinterName", _name)


def dot4(total: Any, inputs: Any, weights: Any, dot: Dot = PLAIN, paired: bool = False) -> Any:
    """Return the call; all three operands, and the result, are int32.

    Paired taps are for `tvm_sparse.relay_passes.multiply_matrices`.
    """
    name = PAIRED if paired else DOT4 + _suffix(dot)
    return tirx.call_intrin("int32", name, total, inputs, weights)


def max4(a: Any, b: Any, dot: Dot = PLAIN) -> Any:
    """Return the call; both operands, and the result, are int32."""
    return tirx.call_intrin("int32", MAX4 + "_signed" * dot.signed, a, b)


def join4(*numbers: Any, saturating: bool = False) -> Any:
    """Return the call; all four operands, and the result, are int32.

    If it is saturating, the lowest 16 bits of each number are clipped to a signed byte.
    """
    return tirx.call_intrin("int32", SATURATE4 if saturating else JOIN4, *numbers)


def rounded(x: Any) -> Any:
    """Return the call; operand and result are float32."""
    return tirx.call_intrin("float32", ROUNDED, x)


def multiply_add(x: Any, y: Any, z: Any) -> Any:
    """Return the call; operands and result are float32."""
    return tirx.call_intrin("float32", MULTIPLY_ADD, x, y, z)
