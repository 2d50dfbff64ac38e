# mypy: ignore-errors
"""Layer norm of a transposed matrix: each column by itself, columns in vector lanes.

y[f, i] = (x[f, i] - mean over f) / sqrt(variance over f + epsilon) · gamma[f] + beta[f]
(Ba et al., "Layer Normalization", 2016).
"""

from tvm.script import tirx as T

_OPAQUE = 8  # TVM's pattern kind of functions that nothing is fused into
_VECTORS = 4
KEY = "tvm_sparse.columns"


def layer_norm(features: int, rows: int, epsilon: float, lanes: int):
    """Return the algorithm, two passes over a column and a third that writes it.

    Parameters
    ----------
    features, rows : int
        The matrix is (features, rows).
    epsilon : float
    lanes : int
        Floats in a vector.

    Returns
    -------
    PrimFunc
        Of (X (features, rows), gamma (features,), beta (features,), Y (features, rows)), float32.
    """
    F, N = T.int64(features), T.int64(rows)
    share, little = T.float32(1 / features), T.float32(epsilon)
    tile = {"vectors": max(min(-(-rows // lanes), _VECTORS), 1), "lanes": lanes}

    @T.prim_func(s_tir=True, private=True)
    def layer_norm(
        X: T.Buffer((F, N), "float32"),
        gamma: T.Buffer((F,), "float32"),
        beta: T.Buffer((F,), "float32"),
        Y: T.Buffer((F, N), "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": _OPAQUE})
        total = T.sblock_alloc_buffer((N,))
        mean = T.sblock_alloc_buffer((N,))
        spread = T.sblock_alloc_buffer((N,))
        factor = T.sblock_alloc_buffer((N,))
        for i, f in T.grid(N, F):
            with T.sblock("total"):
                vi, vf = T.axis.remap("SR", [i, f])
                T.sblock_attr({KEY: tile})
                with T.init():
                    total[vi] = T.float32(0)
                total[vi] = total[vi] + X[vf, vi]
        for i in range(N):
            with T.sblock("mean"):
                vi = T.axis.spatial(N, i)
                mean[vi] = total[vi] * share
        for i, f in T.grid(N, F):
            with T.sblock("spread"):
                vi, vf = T.axis.remap("SR", [i, f])
                with T.init():
                    spread[vi] = T.float32(0)
                spread[vi] = spread[vi] + (X[vf, vi] - mean[vi]) * (X[vf, vi] - mean[vi])
        for i in range(N):
            with T.sblock("factor"):
                vi = T.axis.spatial(N, i)
                factor[vi] = T.float32(1) / T.sqrt(spread[vi] * share + little)
        for f, i in T.grid(F, N):
            with T.sblock("store"):
                vf, vi = T.axis.remap("SS", [f, i])
                Y[vf, vi] = (X[vf, vi] - mean[vi]) * (factor[vi] * gamma[vf]) + beta[vf]

    return layer_norm
