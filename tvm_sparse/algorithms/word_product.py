# mypy: ignore-errors
"""The signature of products of words, with a residual and without.

Kernels differ in how they multiply and in the shapes of what they read; what they take, and in
which order, is the same for all (`tvm_sparse.integer`)::

    (X, values, offset, ptr, start, factor, Y)
    (X, values, offset, ptr, start, factor, ratio, R, Y)
"""

from dataclasses import dataclass

from tvm.script import tirx as T

from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.words import BYTES


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The shapes of a kernel's arrays, and the integers of ``ptr``.

    Parameters
    ----------
    x, values, offset, ptr, start, factor, ratio, y : tuple of int
        Of int32: X, values, offset, start. Of float32: factor, ratio. R is like Y.
    y_dtype, ptr_dtype : str
    """

    x: tuple
    values: tuple
    offset: tuple
    ptr: tuple
    start: tuple
    factor: tuple
    ratio: tuple
    y: tuple
    y_dtype: str
    ptr_dtype: str = "int64"


def outputs(layer: Layer, numbers: Integers, y_shape: tuple) -> tuple[tuple, str, T.int64]:
    """Return the shape and the dtype of Y, words or floats, and its filters with those filled up.

    Parameters
    ----------
    layer : Layer
    numbers : Integers
    y_shape : tuple of int
        Of a layer whose outputs are floats.
    """
    if numbers.output is None:
        return y_shape, "float32", T.int64(layer.filters)
    words, axis = -(-layer.filters // BYTES), 0 if layer.op == "linear" else 1
    in_words = (*y_shape[:axis], T.int64(words), *y_shape[axis + 1 :])
    return in_words, "int32", T.int64(words * BYTES)


def product(body, shapes: Shapes, residual: bool):
    """Return the PrimFunc that a macro ``body(X, …, factor, ratio, R, Y)`` is the body of.

    Without a residual, the macro gets None for its ratio and for R.
    """
    if not residual:

        @T.prim_func(s_tir=True, private=True)
        def integer_product(
            X: T.Buffer(shapes.x, "int32"),
            values: T.Buffer(shapes.values, "int32"),
            offset: T.Buffer(shapes.offset, "int32"),
            ptr: T.Buffer(shapes.ptr, shapes.ptr_dtype),
            start: T.Buffer(shapes.start, "int32"),
            factor: T.Buffer(shapes.factor, "float32"),
            Y: T.Buffer(shapes.y, shapes.y_dtype),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, values, offset, ptr, start, factor, None, None, Y)

        return integer_product

    @T.prim_func(s_tir=True, private=True)
    def integer_product_and_sum(
        X: T.Buffer(shapes.x, "int32"),
        values: T.Buffer(shapes.values, "int32"),
        offset: T.Buffer(shapes.offset, "int32"),
        ptr: T.Buffer(shapes.ptr, shapes.ptr_dtype),
        start: T.Buffer(shapes.start, "int32"),
        factor: T.Buffer(shapes.factor, "float32"),
        ratio: T.Buffer(shapes.ratio, "float32"),
        R: T.Buffer(shapes.y, shapes.y_dtype),
        Y: T.Buffer(shapes.y, shapes.y_dtype),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, values, offset, ptr, start, factor, ratio, R, Y)

    return integer_product_and_sum
