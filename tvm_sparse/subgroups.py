"""What threads of a GPU do together, as operators of TIR.

A subgroup is the threads that a device runs in step; how many they are, and which, is up to the
driver. ``subgroup_reduce(name, x)`` and ``workgroup_reduce(name, x)`` give each thread the sum, the
largest or the smallest x of its subgroup or workgroup; ``subgroup_shuffle_xor(x, mask)`` gives it
the x of the thread whose number in the subgroup differs in the bits of a mask. All threads of a
workgroup must get to a ``workgroup_reduce``, which also waits for them.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, tirx

SUBGROUP, WORKGROUP = "tvm_sparse.subgroup_reduce", "tvm_sparse.workgroup_reduce"
SHUFFLE = "tvm_sparse.subgroup_shuffle_xor"
REDUCTIONS = ("add", "max", "min")
# What a device must offer, as bits of ``supported_subgroup_operations``, which are Vulkan's.
BASIC, ARITHMETIC, SHUFFLES = 1, 4, 16
_EFFECT = 3  # TVM's CallEffectKind of what must stay where it is

for _name in (SUBGROUP, WORKGROUP, SHUFFLE):
    ir.register_op_attr(_name, "TCallEffectKind", _EFFECT)


def subgroup_reduce(name: str, x: Any) -> Any:
    """Return the call; `name` is one of `REDUCTIONS`, x a scalar of 32 bits."""
    return tirx.call_intrin(str(x.ty.dtype), SUBGROUP, name, x)


def workgroup_reduce(name: str, x: Any) -> Any:
    """Return the call; `name` is one of `REDUCTIONS`, x a scalar of 32 bits."""
    return tirx.call_intrin(str(x.ty.dtype), WORKGROUP, name, x)


def subgroup_shuffle_xor(x: Any, mask: Any) -> Any:
    """Return the call; x is a scalar of 32 bits, `mask` an int32."""
    return tirx.call_intrin(str(x.ty.dtype), SHUFFLE, x, mask)
