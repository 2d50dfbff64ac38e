# mypy: ignore-errors
"""Transpose a matrix, a square of vectors at a time, in registers.

A square of V × V floats takes V loads, log2(V) · V shuffles and V stores: in round s every pair of
rows i and i + s exchanges its columns that differ in bit s (Eklundh, "A Fast Computer Method for
Matrix Transposing", 1972).
"""

from tvm.script import tirx as T

_OPAQUE = 8  # TVM's pattern kind of functions that nothing is fused into


def transpose(rows: int, columns: int, lanes: int):
    """Return the function Y[j, i] = X[i, j], ready to compile.

    Parameters
    ----------
    rows, columns : int
        Shape of X.
    lanes : int
        V, floats in a vector; a power of two.

    Returns
    -------
    PrimFunc
        Of (X (rows, columns) float32, Y (columns, rows) float32).
    """
    R, C, V = T.int64(rows), T.int64(columns), lanes
    down, across = T.int64(rows // lanes), T.int64(columns // lanes)
    exchange = _exchanging(lanes)

    @T.prim_func(s_tir=True, private=True)
    def transpose(X: T.Buffer((R, C), "float32"), Y: T.Buffer((C, R), "float32")):
        T.func_attr({"tirx.noalias": True, "op_pattern": _OPAQUE, "tirx.is_scheduled": True})
        for q in T.parallel(across):
            for p in range(down):
                with T.sblock("square"):
                    vq, vp = T.axis.remap("SS", [q, p])
                    T.reads(X[vp * V : vp * V + V, vq * V : vq * V + V])
                    T.writes(Y[vq * V : vq * V + V, vp * V : vp * V + V])
                    a = T.sblock_alloc_buffer((T.int64(V * V),), scope="local")
                    b = T.sblock_alloc_buffer((T.int64(V * V),), scope="local")
                    for i in T.unroll(T.int64(V)):
                        a[T.Ramp(i * V, 1, V)] = X[vp * V + i, T.Ramp(vq * V, 1, V)]
                    exchange(a, b)
                    for i in T.unroll(T.int64(V)):
                        Y[vq * V + i, T.Ramp(vp * V, 1, V)] = a[T.Ramp(i * V, 1, V)]
            for j in range(T.int64(V)):
                for i in range(R - down * V):
                    with T.sblock("bottom"):
                        vj = T.axis.spatial(across * V, q * V + j)
                        vi = T.axis.spatial(R, down * V + i)
                        Y[vj, vi] = X[vi, vj]
        for j in range(C - across * V):
            for i in range(R):
                with T.sblock("right"):
                    vj = T.axis.spatial(C, across * V + j)
                    vi = T.axis.spatial(R, i)
                    Y[vj, vi] = X[vi, vj]

    return transpose


def _exchanging(lanes):
    """Return the macro that transposes the square in `a`, with `b` as a second set of registers."""
    half = T.int64(lanes // 2)

    def first(x, i, s):
        picked = [c if not c & s else lanes + c - s for c in range(lanes)]
        return _pick(x, i, s, picked)

    def second(x, i, s):
        picked = [c + s if not c & s else lanes + c for c in range(lanes)]
        return _pick(x, i, s, picked)

    def _pick(x, i, s, picked):
        rows = [x[T.Ramp(i * lanes, 1, lanes)], x[T.Ramp((i + s) * lanes, 1, lanes)]]
        return T.Shuffle(rows, picked)

    @T.macro
    def round(x, y, s):
        for h in T.unroll(half):
            y[T.Ramp((h // s * 2 * s + h % s) * lanes, 1, lanes)] = first(
                x, h // s * 2 * s + h % s, s
            )
            y[T.Ramp((h // s * 2 * s + h % s + s) * lanes, 1, lanes)] = second(
                x, h // s * 2 * s + h % s, s
            )

    @T.macro
    def exchange(a, b):
        round(a, b, 1)
        round(b, a, 2)
        if lanes > 4:
            round(a, b, 4)
        if lanes > 8:
            round(b, a, 8)
        if lanes == 8:
            for i in T.unroll(T.int64(lanes)):
                a[T.Ramp(i * lanes, 1, lanes)] = b[T.Ramp(i * lanes, 1, lanes)]

    return exchange
