"""Compute on signals as on images of height one, so that every later pass knows them.

Before::

    y = R.nn.conv1d(x, w)                     # x: (1, 12, 500), w: (64, 12, 9)
    n = R.nn.batch_norm(R.add(y, b), ...)
    z = R.nn.conv1d(R.nn.relu(n[0]), v)

After, with reshapes at the two ends alone, which are views and copy nothing::

    i = R.reshape(x, (1, 12, 1, 500))
    y = R.nn.conv2d(i, w)                     # w: (64, 12, 1, 9)
    n = R.nn.batch_norm(R.add(y, b), ...)
    o = R.nn.conv2d(R.nn.relu(n[0]), v)
    z = R.reshape(o, (1, 64, 492))

The signal lies along the width, where vectors run. Pooling, batch norm and element-wise operators
between convolutions follow them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor, op

from tvm_sparse.relay_passes import expr, record
from tvm_sparse.relay_passes.elementwise import ELEMENTWISE, is_number

_VIEWS = {"relax.reshape", "relax.squeeze", "relax.expand_dims"}
_POOLS: dict[str, Callable[..., Any]] = {
    "relax.nn.max_pool1d": op.nn.max_pool2d,
    "relax.nn.avg_pool1d": op.nn.avg_pool2d,
}


@tvm.transform.module_pass(opt_level=0, name="WidenSignals")
class WidenSignals:
    """Replace one-dimensional convolutions of constant weight, and what stands between them."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function; layers keep the user's names."""
        named = record.names(mod)
        wide = expr.rewrite_functions(mod, lambda mod, func: _Widener(mod, named))
        return record.with_names(relax.transform.DeadCodeElimination()(wide), named)


@expr_functor.mutator
class _Widener(PyExprMutator):
    def __init__(self, mod: tvm.IRModule, named: dict[str, str]) -> None:
        super().__init__(mod)
        self.named = named
        self.current = ""

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Remember which variable is being bound."""
        self.current = binding.var.name
        super().visit_var_binding_(binding)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name = expr.op_name(call)
        if name == "relax.nn.conv1d":
            return self._conv(call)
        if name in _POOLS and _is_plain(call):
            return self._pool(call, _POOLS[name])
        if name in ELEMENTWISE:
            return self._elementwise(call)
        if name == "relax.nn.batch_norm":
            return self._batch_norm(call)
        if name in _VIEWS:
            image = self._image_of(call.args[0])
            return call if image is None or expr.shape(image) != expr.shape(call) else image
        return call

    def visit_tuple_getitem_(self, item: relax.TupleGetItem) -> relax.Expr:
        """Narrow the result of a batch norm that was widened under the same variable."""
        visited = self.visit_expr_post_order(item)
        before, after = expr.shape(item), expr.shape(visited)
        if before is None or after is None or len(before) == len(after):
            return visited
        return op.reshape(self.builder_.emit(visited), before)

    def _conv(self, call: relax.Call) -> relax.Expr:
        weight = expr.constant(self.builder_, call.args[1])
        layouts = str(call.attrs.data_layout), str(call.attrs.kernel_layout)
        if weight is None or layouts != ("NCW", "OIW") or not _is_plain(call):
            return call
        attrs = call.attrs
        y = op.nn.conv2d(
            self._image(call.args[0]),
            expr.const(weight[:, :, None]),
            strides=(1, int(attrs.strides[0])),
            padding=_sides(attrs),
            dilation=(1, int(attrs.dilation[0])),
            groups=int(attrs.groups),
        )
        image = self.builder_.emit(y, self.current)
        if self.current in self.named:
            self.named[image.name] = self.named[self.current]
        return _signal(image)

    def _pool(self, call: relax.Call, pool: Callable[..., Any]) -> relax.Expr:
        attrs = call.attrs
        y = pool(
            self._image(call.args[0]),
            pool_size=(1, int(attrs.pool_size[0])),
            strides=(1, int(attrs.strides[0])),
            padding=_sides(attrs),
            dilation=(1, int(attrs.dilation[0])),
            ceil_mode=bool(attrs.ceil_mode),
            count_include_pad=bool(attrs.count_include_pad),
        )
        return _signal(self.builder_.emit(y))

    def _batch_norm(self, call: relax.Call) -> relax.Expr:
        image = self._image_of(call.args[0])
        if image is None or int(call.attrs.axis) != 1:
            return call
        return relax.Call(call.op, [image, *call.args[1:]], call.attrs, call.ty_args)

    def _elementwise(self, call: relax.Call) -> relax.Expr:
        tensors = [i for i, arg in enumerate(call.args) if not is_number(self.builder_, arg)]
        if not any(self._image_of(call.args[i]) is not None for i in tensors):
            return call
        args = list(call.args)
        for i in tensors:
            if len(expr.shape(args[i]) or ()) != 3:
                return call
            args[i] = self._image(args[i])
        return _signal(self.builder_.emit(relax.Call(call.op, args, call.attrs, call.ty_args)))

    def _image_of(self, x: relax.Expr) -> relax.Expr | None:
        """Return the image of height one that a signal is a view of, or None."""
        view = expr.definition(self.builder_, x)
        if expr.op_name(view) not in _VIEWS:
            return None
        image, signal = expr.shape(view.args[0]), expr.shape(x)
        same = image and signal and len(image) == 4 and image == (*signal[:2], 1, *signal[2:])
        return view.args[0] if same else None

    def _image(self, x: relax.Expr) -> relax.Expr:
        """Return a signal, or a constant added to one, as an image of height one."""
        value = expr.constant(self.builder_, x)
        if value is not None:
            return expr.const(value[:, :, None])
        found = self._image_of(x)
        if found is not None:
            return found
        batch, channels, length = expr.shape(x) or (0, 0, 0)
        return self.builder_.emit(op.reshape(x, (batch, channels, 1, length)))


def _signal(image: relax.Expr) -> relax.Expr:
    """Return an image of height one as a signal."""
    batch, channels, _, length = expr.shape(image) or (0, 0, 1, 0)
    return op.reshape(image, (batch, channels, length))


def _sides(attrs: Any) -> tuple[int, int, int, int]:
    """Return the padding (top, left, bottom, right) of an image for a signal's."""
    numbers = [int(value) for value in attrs.padding]
    return (0, numbers[0], 0, numbers[-1])


def _is_plain(call: relax.Call) -> bool:
    """Whether a call reads and writes float32 tensors (batch, channels, length)."""
    attrs = call.attrs
    layout = str(getattr(attrs, "layout", "") or getattr(attrs, "data_layout", ""))
    same = str(attrs.out_layout or "NCW") == layout == "NCW"
    return same and expr.is_float32(call) and expr.is_float32(call.args[0])
