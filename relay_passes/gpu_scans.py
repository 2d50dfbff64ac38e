"""Running sums and products on a GPU, a row a thread.

TVM's own scan takes the 32 threads of a warp to run in step, which Vulkan does not promise.

Before::

    y = R.cumsum(x, axis=1)

After::

    y = R.call_tir(cumsum, (x,))      # for each row in a thread: y[i] = y[i - 1] + x[i]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import relax, tirx
from tvm.script import tirx as T

_THREADS = 64


def _scan(
    sizes: tuple[int, int, int], dtypes: tuple[str, str], product: bool, exclusive: bool
) -> tirx.PrimFunc:
    """Return a scan along the middle axis of (outer, length, inner)."""
    outer, length, inner = sizes
    source, target = dtypes
    rows = outer * inner
    groups = -(-rows // _THREADS)
    first = 1 if product else 0

    # fmt: off
    @T.prim_func(private=True, s_tir=True)
    def scan(
        X: T.Buffer((outer, length, inner), source), Y: T.Buffer((outer, length, inner), target)  # type: ignore[valid-type]
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for group in T.thread_binding(groups, thread="blockIdx.x"):
            for thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                with T.sblock("scan"):
                    row = T.axis.spatial(groups * _THREADS, group * _THREADS + thread)
                    T.reads(X[0:outer, 0:length, 0:inner])
                    T.writes(Y[0:outer, 0:length, 0:inner])
                    total = T.sblock_alloc_buffer((1,), target, scope="local")
                    if row < rows:
                        total[0] = T.Cast(target, first)
                        for i in range(length):
                            if exclusive:
                                Y[row // inner, i, row % inner] = total[0]
                            value: T.let = T.Cast(target, X[row // inner, i, row % inner])
                            total[0] = total[0] * value if product else total[0] + value
                            if not exclusive:
                                Y[row // inner, i, row % inner] = total[0]
    # fmt: on
    return scan


def _legalize(product: bool) -> Callable[[relax.BlockBuilder, relax.Call], relax.Expr]:
    def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        x, shape = call.args[0], [int(size) for size in call.ty.shape.values]
        if call.attrs.axis is None:
            sizes = (1, math.prod(shape), 1)
        else:
            axis = int(call.attrs.axis) % len(shape)
            sizes = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        dtypes = (str(x.ty.dtype), str(call.ty.dtype))
        func = _scan(sizes, dtypes, product, bool(call.attrs.exclusive))
        variable = builder.add_func(func, "cumprod" if product else "cumsum")
        rows = builder.emit(relax.op.reshape(x, sizes))
        out = relax.TensorType(sizes, dtypes[1])
        return relax.op.reshape(builder.emit(relax.call_tir(variable, [rows], out_ty=out)), shape)

    return legalize


LEGALIZE: dict[str, Any] = {
    "relax.cumsum": _legalize(product=False),
    "relax.cumprod": _legalize(product=True),
}
