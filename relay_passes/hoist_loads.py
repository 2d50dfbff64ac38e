"""Loads stand in front of the multiply-adds that use them, for cores that execute in order.

Such a core waits at the first instruction whose operand is not there yet. In functions for them,
loops of multiply-adds go over eight taps at a time. Indices are loaded first, then each tap's
weights and inputs, then it is multiplied; fences that emit nothing keep LLVM from mixing them::

    for k in range(n):                            for k in range(n // 8):
        A[0:4] += W[k, 0] * X[o[k] : o[k] + 4]        i, … = o[8 * k], …
        A[4:8] += W[k, 1] * X[o[k] : o[k] + 4]        w, x = W[8 * k, 0:4], X[i : i + 4]
                                           →          fence
                                                      A[0:4] += w[0] * x; A[4:8] += w[1] * x
                                                      fence … and seven taps more
                                                  for k in range(n // 8 * 4, n): …
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse import compat

IN_ORDER = "tvm_sparse.in_order"  # marks the functions that are for such cores
_TAPS = 8  # that are multiplied at a time: what a loop costs is shared by so many
_FEWEST = 4  # multiply-adds of a loop that is worth it
_LANES = 4  # weights that are loaded at a time
_LINE = 64  # bytes
_INDICES = ("int32", "int64")
_WEIGHTS = "weights"  # what vectors of them are called


@tirx.transform.prim_func_pass(opt_level=0, name="HoistLoads")
class HoistLoads:
    """Rewrite the loops of multiply-adds of marked functions, after all loops were lowered."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        if not func.attrs or IN_ORDER not in func.attrs:
            return func
        return func.with_body(compat.rewrite(func.body, tirx.For, _loop))


def marked(mod: tvm.IRModule) -> tvm.IRModule:
    """Return the module with its functions marked as ones for a core that executes in order."""
    found = mod.clone()
    for var, func in mod.functions_items():
        if isinstance(func, tirx.PrimFunc):
            found.update_func(var, func.with_attr(IN_ORDER, 1))
    return found


def _loop(loop: tirx.For) -> Any:
    """Return a loop of multiply-adds as one over several taps, and one over those that are left."""
    body = inlined(loop.body)
    adds = [node for node in body if _is_multiply_add(node)]
    if len(adds) < _FEWEST or any(_is_other(node) for node in body) or int_of(loop.min) != 0:
        return loop
    number, kind = loop.extent, loop.loop_var.ty.dtype
    taps = tirx.IntImm(kind, _TAPS)
    whole = number // taps

    def over(extent: Any, first: Any, step: int) -> tirx.For:
        k = tirx.Var(loop.loop_var.name, loop.loop_var.ty)
        begin = first + k * tirx.IntImm(kind, step)
        at = [{loop.loop_var: begin + tirx.IntImm(kind, j)} for j in range(step)]
        group = _group([[compat.substitute(node, where) for node in body] for where in at])
        return compat.with_loop(loop, loop_var=k, extent=extent, body=group)

    zero = tirx.IntImm(kind, 0)
    return tirx.SeqStmt([over(whole, zero, _TAPS), over(number - whole * taps, whole * taps, 1)])


def int_of(value: Any) -> int | None:
    """Return the value of a constant integer, None for any other expression."""
    return int(value) if isinstance(value, tirx.IntImm) else None


def inlined(body: Any) -> list[Any]:
    """Return a loop's statements, without bindings of common expressions."""
    values: dict[Any, Any] = {}
    found = []
    for node in body.seq if isinstance(body, tirx.SeqStmt) else [body]:
        if isinstance(node, tirx.Bind):
            values[node.var] = compat.substitute(node.value, values)
        else:
            found.append(compat.substitute(node, values))
    return found


def _is_multiply_add(node: Any) -> bool:
    if not isinstance(node, tirx.BufferStore) or node.buffer.scope() != "local":
        return False
    value = node.value
    is_float = str(value.ty.dtype).startswith("float")
    return is_float and isinstance(value, tirx.Add) and isinstance(value.b, tirx.Mul)


def _is_other(node: Any) -> bool:
    """Whether a statement is neither a multiply-add nor a prefetch."""
    return not _is_multiply_add(node) and not isinstance(node, tirx.Evaluate)


def _group(taps: Sequence[list[Any]]) -> tirx.SeqStmt:
    """Return the statements of several taps: indices, then loads and multiply-adds tap by tap."""
    indices, known, products = [], [], []
    for number, tap in enumerate(taps):
        loads = Loads([node for node in tap if _is_multiply_add(node)])
        indices += loads.indices
        known += [fence(tirx.address_of(load)) for load in loads.starts]
        if number % loads.taps_of_a_line == 0:
            products += [node for node in tap if not _is_multiply_add(node)]
        wall = fence(loads.bindings[-1].var)
        products += [*loads.bindings, wall, *loads.adds, wall]
    return tirx.SeqStmt([*indices, *known, *products])


def fence(value: Any) -> tirx.Evaluate:
    """Return a statement that needs a value, that no instruction is moved across, and emits none.

    LLVM's ``fake.use`` is for debuggers.
    """
    return tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.fake.use", value))


class Loads:
    """The loads of one tap, each bound to a variable.

    Parameters
    ----------
    adds : sequence of BufferStore
        The multiply-adds of the tap.

    Attributes
    ----------
    indices, bindings : list of Bind
        What is loaded to know where inputs stand, and the weights and inputs.
    starts : list of BufferLoad
        The first element of each run of inputs.
    adds : list of BufferStore
        The multiply-adds of these variables.
    """

    def __init__(self, adds: Sequence[Any]) -> None:
        self.indices: list[tirx.Bind] = []
        self.bindings: list[tirx.Bind] = []
        self.starts: list[Any] = []
        self._known: dict[str, Any] = {}
        found = [compat.rewrite(node, ir.TensorLoad, self._index) for node in adds]
        self._widths = _widths(found)
        self.adds = [compat.rewrite(node, ir.TensorLoad, self._factor) for node in found]

    @property
    def taps_of_a_line(self) -> int:
        """How many taps the weights of a cache line are for, one at least."""
        vectors = sum(bind.var.name == _WEIGHTS for bind in self.bindings)
        return int(max(_LINE // (4 * _LANES * max(vectors, 1)), 1))

    def _index(self, load: Any) -> Any:
        """Return the variable of a load of an integer; any other load as it is."""
        is_index = str(load.ty.dtype) in _INDICES and load.source.scope() != "local"
        return self._bound(load, "index", self.indices) if is_index else load

    def _factor(self, load: Any) -> Any:
        """Return the variable of a weight or an input, or one lane of a vector of weights."""
        if load.source.scope() == "local":
            return load
        (index,) = load.indices
        if isinstance(index, tirx.Ramp):
            base, place = apart(index.base)
            start = self._start(load.source, base)
            ramp = tirx.Ramp(start + place, index.stride, index.lanes)
            return self._bound(tirx.BufferLoad(load.source, [ramp]), "vector", self.bindings)
        base, place = apart(index)
        if self._widths[_key(load.source, base)] % _LANES:
            return self._bound(load, "scalar", self.bindings)
        ramp = tirx.Ramp(base + place // _LANES * _LANES, tirx.IntImm(index.ty.dtype, 1), _LANES)
        vector = self._bound(tirx.BufferLoad(load.source, [ramp]), _WEIGHTS, self.bindings)
        return tirx.Shuffle([vector], [place % _LANES])

    def _start(self, buffer: Any, base: Any) -> Any:
        """Return the variable that says where a run of inputs begins."""
        number = len(self.indices)
        start = self._bound(base, "start", self.indices)
        if len(self.indices) > number:
            self.starts.append(tirx.BufferLoad(buffer, [start]))
        return start

    def _bound(self, value: Any, name: str, bindings: list[tirx.Bind]) -> Any:
        """Return the variable that a value is bound to, once."""
        key = str(value)
        if key not in self._known:
            self._known[key] = tirx.Var(name, value.ty)
            bindings.append(tirx.Bind(self._known[key], value))
        return self._known[key]


def apart(index: Any) -> tuple[Any, int]:
    """Split ``base + 3`` into its base and its constant."""
    if isinstance(index, tirx.Add) and isinstance(index.b, tirx.IntImm):
        return index.a, int(index.b)
    return index, 0


def _widths(adds: Sequence[Any]) -> dict[str, int]:
    """Return, for each run of scalars, how many lie side by side; 1 if they do not begin at 0."""
    places: dict[str, set[int]] = {}

    def look(load: Any) -> None:
        if load.source.scope() != "local" and not isinstance(load.indices[0], tirx.Ramp):
            base, place = apart(load.indices[0])
            places.setdefault(_key(load.source, base), set()).add(place)

    for node in adds:
        compat.visit(node, ir.TensorLoad, look)
    return {
        key: len(found) if found == set(range(len(found))) else 1 for key, found in places.items()
    }


def _key(buffer: Any, base: Any) -> str:
    return f"{buffer.name} {base}"
