"""What kernels compute, as TIR: one text an operator, before any scheduling.

An algorithm names its blocks (``pack``, ``product``, ``store``) and carries its default tile as an
annotation of the ``product`` block; `tvm_sparse.schedules` turns it into a loop nest.
"""

from tvm_sparse import compat as compat  # makes TVM expand macros quickly
