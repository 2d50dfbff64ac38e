"""Loop nests over tiles of 16 × 16 × 16 words become instructions of AMX.

Before, as `tvm_sparse.schedules.amx` marks it::

    for tile in T.parallel(4):
        sums = T.alloc_buffer((256,), "int32", scope="local")
        for o, i in 16, 16: sums[16 * o + i] = 0
        for k in range(n):
            for o, i, w in 16, 16, 16:
                sums[16 * o + i] = dot4(sums[16 * o + i], X[offset[k] + 64 * w + i], W[k, o, w])
        for o, i in 16, 16: A[96 * o + i] = sums[16 * o + i]

After::

    assert syscall(arch_prctl, ARCH_REQ_XCOMP_PERM, tiles) == 0
    for tile in T.parallel(4):
        ldtilecfg 16 rows of 64 bytes, eight times
        tilezero 0
        for k in range(n):
            tileloadd 1, W[k, 0, 0], 64
            tileloadd 2, X[offset[k]], 256
            tdpbsud 0, 1, 2
        tilestored 0, A[0], 384
        tilerelease

Linux gives tiles to a process that asks for them; each thread configures its own. For a CPU without
AMX, the nests are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm.target.codegen import llvm_get_cpu_features

from tvm_sparse import compat
from tvm_sparse.amx import REGISTERS, SIDE
from tvm_sparse.dot2 import DOT2
from tvm_sparse.octets import DOT4
from tvm_sparse.schedules.amx import AMX
from tvm_sparse.words import BYTES

_MULTIPLY = {  # the feature and the instruction
    DOT4: ("amx-int8", "tdpbsud"),  # its left tile is signed: that of weights
    DOT2: ("amx-bf16", "tdpbf16ps"),
}
_ARCH_PRCTL, _REQ_XCOMP_PERM, _TILE_DATA = 158, 0x1023, 18  # asm/unistd_64.h, asm/prctl.h
_REFUSED = (
    "compiled for a CPU with AMX, but Linux gives this process no tiles: expected a CPU of the "
    "flags amx_tile and amx_int8 and Linux 5.16 or later; build for target='x86-avx512' here"
)


@tirx.transform.prim_func_pass(opt_level=0, name="LowerAmx")
class LowerAmx:
    """Replace marked nests, after all other loops were lowered."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        found: list[Any] = []
        compat.visit(func.body, tirx.For, lambda loop: found.append(loop) if _is(loop) else None)
        if not found or not _has(func.attrs["target"], found):
            return func
        body = compat.rewrite(_configured(func.body), tirx.SeqStmt, _sequence)
        body = compat.rewrite(body, tirx.For, lambda loop: _alone(loop) if _is(loop) else loop)
        return func.with_body(tirx.SeqStmt([_permission(), body]))


def _is(node: Any) -> bool:
    return isinstance(node, tirx.For) and AMX in node.annotations


def _has(target: Any, nests: Sequence[Any]) -> bool:
    """Whether a target has the instructions that nests are made of."""
    features = set(llvm_get_cpu_features(target)) if target.kind.name == "llvm" else set()
    names = {
        str(_Nest(nest).value.op.name) for nest in nests if nest.annotations[AMX] == "multiply"
    }
    return all(_MULTIPLY[name][0] in features for name in names)


class _Nest:
    """A marked nest: its loops, and the one statement in them.

    Parameters
    ----------
    nest : For
    """

    def __init__(self, nest: tirx.For) -> None:
        self.what = str(nest.annotations[AMX])
        self.loops: list[Any] = []
        known: dict[Any, Any] = {}
        node: Any = nest
        while not isinstance(node, tirx.BufferStore):
            if isinstance(node, tirx.For):
                self.loops.append(node.loop_var)
                node = node.body
            else:
                *bindings, node = node.seq
                for bind in bindings:
                    known[bind.var] = compat.substitute(bind.value, known)
        self.store = compat.substitute(node, known)
        self.value = self.store.value

    def at(self, buffer: Any, index: Any, row: int) -> tuple[Any, Any]:
        """Return the address of a tile's first element, and the bytes between its rows.

        `row` says which of the loops goes over the tile's rows.
        """
        base, stride = self.place(index, row)
        apart = tirx.IntImm("int64", BYTES * int(stride))
        return tirx.address_of(tirx.BufferLoad(buffer, [base])), apart

    def place(self, index: Any, row: int) -> tuple[Any, Any]:
        """Return a tile's first index, and how far its rows are apart."""

        def where(number: int) -> Any:
            values = {var: tirx.IntImm(var.ty.dtype, 0) for var in self.loops}
            values[self.loops[row]] = tirx.IntImm(self.loops[row].ty.dtype, number)
            return compat.substitute(index, values)

        simplify = compat.analyzer().simplify
        return simplify(where(0)), simplify(where(1) - where(0))

    @property
    def operands(self) -> list[Any]:
        """The tile whose rows are those of the sums, then that whose columns are."""
        return sorted(
            self.value.args[1:], key=lambda load: not compat.uses(load.indices[0], {self.loops[0]})
        )

    @property
    def sums(self) -> int:
        """The register that holds the sums; a register tile's are numbered row by row."""
        load = self.value if self.what == "store" else self.store
        base, stride = (int(v) for v in self.place(load.indices[0], 0))
        across = stride // SIDE
        return base // (SIDE * stride) * across + base % stride // SIDE


class _Registers:
    """Which operands the registers hold that have no sums.

    Parameters
    ----------
    sums : int
        Registers that hold sums.
    """

    def __init__(self, sums: int) -> None:
        self._free = list(range(sums, REGISTERS))
        self._held: dict[str, int] = {}

    def load(self, address: Any, stride: Any) -> tuple[int, list[Any]]:
        """Return the register of an operand, and what loads it if it is not there.

        The register that was used least recently is taken.
        """
        key = f"{address} {stride}"
        if key in self._held:
            self._held[key] = self._held.pop(key)
            return self._held[key], []
        if self._free:
            number = self._free.pop(0)
        else:
            number = self._held.pop(next(iter(self._held)))
        self._held[key] = number
        return number, [_call("tileloadd64", _number(number), address, stride)]


def _sequence(seq: tirx.SeqStmt) -> Any:
    """Return statements with instructions for the nests among them."""
    nests = [_Nest(node) for node in seq.seq if _is(node)]
    products = [nest for nest in nests if nest.what == "multiply"]
    registers = _Registers(max((nest.sums for nest in products), default=0) + 1)
    found: list[Any] = []
    for node in seq.seq:
        found += _instructions(_Nest(node), registers) if _is(node) else [node]
    return tirx.SeqStmt(found)


def _alone(node: tirx.For) -> Any:
    found = _instructions(_Nest(node), _Registers(1))
    return found[0] if len(found) == 1 else tirx.SeqStmt(found)


def _instructions(nest: _Nest, registers: _Registers) -> list[Any]:
    """Return the instructions of one nest."""
    if nest.what == "zero":
        return [_call("tilezero", _number(nest.sums))]
    if nest.what == "store":
        address, stride = nest.at(nest.store.buffer, nest.store.indices[0], 0)
        return [_call("tilestored64", _number(nest.sums), address, stride)]
    left, right = nest.operands
    b, load_right = registers.load(*nest.at(right.source, right.indices[0], 2))
    a, load_left = registers.load(*nest.at(left.source, left.indices[0], 0))
    name = _MULTIPLY[str(nest.value.op.name)][1]
    multiply = _call(name, *(_number(n) for n in (nest.sums, a, b)))
    return [*load_left, *load_right, multiply]


def _call(name: str, *args: Any) -> tirx.Evaluate:
    return tirx.Evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *args))


def _number(register: int) -> Any:
    return tirx.IntImm("int8", register)


def _permission() -> Any:
    """Return what asks Linux for tiles; it takes a fraction of a microsecond when it has them."""
    numbers = (tirx.IntImm("int64", n) for n in (_ARCH_PRCTL, _REQ_XCOMP_PERM, _TILE_DATA))
    answer = tirx.call_extern("int64", "syscall", *numbers)
    given = answer == tirx.IntImm("int64", 0)
    return compat.assertion(given, _REFUSED)


def _configured(body: Any) -> Any:
    """Return a statement in which every thread configures tiles before it uses them."""
    threads: list[Any] = []
    compat.visit(body, tirx.For, lambda loop: threads.append(loop) if _divides(loop) else None)
    if not threads:
        return _around(body)
    return compat.rewrite(
        body,
        tirx.For,
        lambda loop: compat.with_loop(loop, body=_around(loop.body)) if _divides(loop) else loop,
    )


def _divides(loop: tirx.For) -> bool:
    """Whether threads divide a loop in which there are marked nests."""
    found: list[Any] = []
    if int(loop.kind) == int(tirx.ForKind.PARALLEL):
        compat.visit(loop.body, tirx.For, lambda node: found.append(node) if _is(node) else None)
    return bool(found)


def _around(body: Any) -> Any:
    """Return a statement with tiles configured."""
    words = tirx.decl_buffer((SIDE,), "int32", "tiles", scope="local")
    stores = [
        tirx.BufferStore(words, tirx.IntImm("int32", int(word)), [tirx.IntImm("int32", i)])
        for i, word in enumerate(configuration())
    ]
    first = tirx.address_of(tirx.BufferLoad(words, [tirx.IntImm("int32", 0)]))
    begin, end = _call("ldtilecfg", first), _call("tilerelease")
    return tirx.SeqStmt([tirx.AllocBuffer(words), *stores, begin, body, end])


def configuration() -> np.ndarray[Any, Any]:
    """Return the 64 bytes that make every tile one of 16 rows of 64 bytes, as 16 words."""
    found = np.zeros(64, np.uint8)
    found[0] = 1  # the palette
    found[16 : 16 + 2 * REGISTERS].view("<u2")[:] = BYTES * SIDE  # bytes of a row
    found[48 : 48 + REGISTERS] = SIDE  # rows
    return found.view("<i4")
