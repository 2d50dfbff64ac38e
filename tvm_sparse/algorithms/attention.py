# mypy: ignore-errors
"""Attention on transposed matrices: queries in vector lanes, so that nothing is ever transposed.

For a head with queries q (D, T), keys k (D, K) and values v (D, K), each a run of rows of its
matrix::

    s[j, i] = sum over d of k[d, j] · q[d, i] · scale
    e[j, i] = exp(s[j, i] - max over j of s[j, i])
    y[d, i] = sum over j of v[d, j] · e[j, i]  /  sum over j of e[j, i]

Keys are copied to rows an odd number of vectors apart, which spread over all sets of the cache. A
tile of queries goes through all of this while its scores stay in cache (Vaswani et al.,
"Attention Is All You Need", NeurIPS 2017; dividing last as in Dao et al., "FlashAttention",
NeurIPS 2022).
"""

import math
from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

_OPAQUE = 8  # TVM's pattern kind of functions that nothing is fused into
_LONG = 256  # keys from which more than two vectors of queries would crowd the cache
KEY = "tvm_sparse.attention"


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What an attention computes.

    Parameters
    ----------
    batch, heads : int
    queries, keys : int
        T and K, tokens of each sequence.
    size : int
        D, features of a head.
    scale : float
        What scores are multiplied by.
    features : tuple of int
        Rows of the matrices that hold queries, keys and values.
    first : tuple of int
        In which row of each of them the first head begins.
    """

    batch: int
    heads: int
    queries: int
    keys: int
    size: int
    scale: float
    features: tuple[int, int, int]
    first: tuple[int, int, int]


def cut(heads: Heads, lanes: int, registers: int) -> dict[str, int]:
    """Return the register tile: vectors of queries, and rows of keys or features."""
    needed, most = -(-heads.queries // lanes), 4 if registers >= 32 else 2
    if heads.keys > _LONG:
        most = min(most, 2)
    vectors = min(range(most, 0, -1), key=lambda v: -(-needed // v) * (v + 0.5))
    rows = 4 if vectors == 4 or registers < 32 else 8
    return {"vectors": vectors, "lanes": lanes, "rows": math.gcd(heads.size, rows)}


def attention(heads: Heads, tile: dict[str, int]):
    """Return the algorithm of attention.

    Parameters
    ----------
    heads : Heads
    tile : dict of str to int
        See `cut`.

    Returns
    -------
    PrimFunc
        Of (Q (features, batch · T), K (features, batch · K), V (features, batch · K),
        Y (heads · D, batch · T)), all float32. Head h of sequence b is rows h · D … of columns
        b · T ….
    """
    B, H, N, M, D = (
        T.int64(n) for n in (heads.batch, heads.heads, heads.queries, heads.keys, heads.size)
    )
    lanes = tile["vectors"] * tile["lanes"]
    L, tiles = T.int64(lanes), T.int64(-(-heads.queries // lanes))
    padded = T.int64(-(-heads.keys // tile["rows"]) * tile["rows"])
    at_q, at_k, at_v = (T.int64(n) for n in heads.first)
    of_q, of_k, of_v = (T.int64(n) for n in heads.features)
    width = T.int64(tile["lanes"])
    whole, rest = M // width, M % width  # vectors of keys, and the keys that are left
    pitch = (padded + width - 1) // width // 2 * 2 * width + width  # an odd number of vectors
    last = N - (tiles - 1) * L  # queries of the last tile
    scale, lowest = T.float32(heads.scale), T.float32("-inf")

    @T.macro
    def fill(P, b, t, h, d):
        if last < L:
            for i in T.vectorized(L - last):
                P[b, h, t, d, last + i] = T.float32(0)

    @T.macro
    def copy(C, b, t, h, d, K):
        for n in range(whole):
            for i in T.vectorized(width):
                C[b, h, t, d, n * width + i] = K[at_k + h * D + d, b * M + n * width + i]
        if rest > 0:
            for i in T.vectorized(rest):
                C[b, h, t, d, whole * width + i] = K[at_k + h * D + d, b * M + whole * width + i]
        if padded > M:
            for i in T.vectorized(padded - M):
                C[b, h, t, d, M + i] = T.float32(0)

    @T.prim_func(s_tir=True, private=True)
    def attention(
        Q: T.Buffer((of_q, B * N), "float32"),
        K: T.Buffer((of_k, B * M), "float32"),
        V: T.Buffer((of_v, B * M), "float32"),
        Y: T.Buffer((H * D, B * N), "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": _OPAQUE})
        P = T.sblock_alloc_buffer((B, H, tiles, D, L))
        C = T.sblock_alloc_buffer((B, H, tiles, D, pitch))
        S = T.sblock_alloc_buffer((B, H, tiles, padded, L))
        E = T.sblock_alloc_buffer((B, H, tiles, M, L))
        A = T.sblock_alloc_buffer((B, H, tiles, D, L))
        most = T.sblock_alloc_buffer((B, H, tiles, L))
        total = T.sblock_alloc_buffer((B, H, tiles, L))
        for b, h, t, d in T.grid(B, H, tiles, D):
            with T.sblock("pack"):
                vb, vh, vt, vd = T.axis.remap("SSSS", [b, h, t, d])
                T.reads(Q[at_q + vh * D + vd, vb * N : vb * N + N])
                T.writes(P[vb, vh, vt, vd, 0:L])
                if vt < tiles - 1:
                    for i in T.vectorized(L):
                        P[vb, vh, vt, vd, i] = Q[at_q + vh * D + vd, vb * N + vt * L + i] * scale
                else:
                    for i in T.vectorized(last):
                        P[vb, vh, vt, vd, i] = Q[at_q + vh * D + vd, vb * N + vt * L + i] * scale
                    fill(P, vb, vt, vh, vd)
        for b, h, t, d in T.grid(B, H, tiles, D):
            with T.sblock("pack_keys"):
                vb, vh, vt, vd = T.axis.remap("SSSS", [b, h, t, d])
                T.reads(K[at_k + vh * D + vd, vb * M : vb * M + M])
                T.writes(C[vb, vh, vt, vd, 0:padded])
                copy(C, vb, vt, vh, vd, K)
        for b, h, t, j, i, d in T.grid(B, H, tiles, padded, L, D):
            with T.sblock("scores"):
                vb, vh, vt, vj, vi, vd = T.axis.remap("SSSSSR", [b, h, t, j, i, d])
                T.sblock_attr({KEY: tile})
                with T.init():
                    S[vb, vh, vt, vj, vi] = T.float32(0)
                S[vb, vh, vt, vj, vi] = (
                    S[vb, vh, vt, vj, vi] + C[vb, vh, vt, vd, vj] * P[vb, vh, vt, vd, vi]
                )
        for b, h, t, i, j in T.grid(B, H, tiles, L, M):
            with T.sblock("most"):
                vb, vh, vt, vi, vj = T.axis.remap("SSSSR", [b, h, t, i, j])
                with T.init():
                    most[vb, vh, vt, vi] = lowest
                most[vb, vh, vt, vi] = T.max(most[vb, vh, vt, vi], S[vb, vh, vt, vj, vi])
        for b, h, t, j, i in T.grid(B, H, tiles, M, L):
            with T.sblock("weights"):
                vb, vh, vt, vj, vi = T.axis.remap("SSSSS", [b, h, t, j, i])
                E[vb, vh, vt, vj, vi] = _exp(S[vb, vh, vt, vj, vi] - most[vb, vh, vt, vi])
        for b, h, t, i, j in T.grid(B, H, tiles, L, M):
            with T.sblock("total"):
                vb, vh, vt, vi, vj = T.axis.remap("SSSSR", [b, h, t, i, j])
                with T.init():
                    total[vb, vh, vt, vi] = T.float32(0)
                total[vb, vh, vt, vi] = total[vb, vh, vt, vi] + E[vb, vh, vt, vj, vi]
        for b, h, t, d, i, j in T.grid(B, H, tiles, D, L, M):
            with T.sblock("product"):
                vb, vh, vt, vd, vi, vj = T.axis.remap("SSSSSR", [b, h, t, d, i, j])
                with T.init():
                    A[vb, vh, vt, vd, vi] = T.float32(0)
                A[vb, vh, vt, vd, vi] = (
                    A[vb, vh, vt, vd, vi]
                    + V[at_v + vh * D + vd, vb * M + vj] * E[vb, vh, vt, vj, vi]
                )
        for b, h, d, x in T.grid(B, H, D, N):
            with T.sblock("store"):
                vb, vh, vd, vx = T.axis.remap("SSSS", [b, h, d, x])
                Y[vh * D + vd, vb * N + vx] = (
                    A[vb, vh, vx // L, vd, vx % L] / total[vb, vh, vx // L, vx % L]
                )

    return attention


_TERMS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2)
_TERMS += (1.6666665459e-1, 5.0000001201e-1)  # of exp on ±ln(2) / 2, as in the Cephes library


def _exp(x):
    """Return exp(x) for x ≤ 0, within 2e-7, as an expression that vectorizes."""
    x = tirx.max(x, T.float32(-87.0))
    whole = tirx.floor(x * T.float32(1 / math.log(2)) + T.float32(0.5))
    rest = x - whole * T.float32(0.693359375) + whole * T.float32(2.12194440e-4)
    terms = T.float32(_TERMS[0])
    for term in _TERMS[1:]:
        terms = terms * rest + T.float32(term)
    power = tirx.reinterpret("float32", (whole.astype("int32") + 127) << 23)
    return (terms * rest * rest + rest + T.float32(1)) * power
