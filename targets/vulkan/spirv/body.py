"""The code of a kernel: instructions, local variables, structured control flow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from tvm_sparse.targets.vulkan.spirv.codes import Glsl, Op, Storage
from tvm_sparse.targets.vulkan.spirv.module import Module, encode
from tvm_sparse.targets.vulkan.spirv.types import Type

# What changes memory, other lanes, or the flow of control, is never taken for something known.
_IMPURE = frozenset(
    {Op.Load, Op.AtomicIAdd, Op.AtomicLoad, Op.AtomicCompareExchange}
    | {op for op in Op if op.name.startswith("GroupNonUniform")}
)


class Body:
    """Code under construction; what is known already is not computed again.

    A value is known in the block that computes it, and in the blocks under its conditions and
    loops. What was loaded is known until the block ends, or something is stored there.

    Parameters
    ----------
    module : Module
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        # What signed integers were before they were widened.
        self.widened: dict[int, tuple[int, Type]] = {}
        self._variables: list[int] = []
        self._code: list[int] = []
        # Where `break` and `continue` of the loops around go.
        self._loops: list[tuple[int, int]] = []
        self._known: dict[tuple[int, ...], int] = {}
        self._loaded: dict[tuple[int, int], int] = {}

    def add(self, op: Op, *operands: int) -> None:
        """Append an instruction without a result."""
        self._code += encode(op, *operands)

    def op(self, op: Op, kind: Type, *operands: int) -> int:
        """Append an instruction, and return its scalar result."""
        return self.result(op, self.module.scalar(kind), *operands)

    def result(self, op: Op, type_id: int, *operands: int) -> int:
        """Append an instruction whose result has any type, and return it."""
        key = (op, type_id, *operands)
        if key in self._known:
            return self._known[key]
        found = self.module.id()
        self.add(op, type_id, found, *operands)
        if op not in _IMPURE:
            self._known[key] = found
        return found

    def load(self, kind: Type, variable: int, pointer: int) -> int:
        """Return what lies at a pointer into a variable."""
        key = (variable, pointer)
        if key not in self._loaded:
            self._loaded[key] = self.op(Op.Load, kind, pointer)
        return self._loaded[key]

    def store(self, pointer: int, value: int, variables: Collection[int]) -> None:
        """Store at a pointer into one of some variables, which may be the same memory."""
        self.add(Op.Store, pointer, value)
        self._loaded = {key: v for key, v in self._loaded.items() if key[0] not in variables}

    def forget_loads(self) -> None:
        """Load again from here on: others may have stored."""
        self._loaded = {}

    def glsl(self, function: Glsl, kind: Type, *operands: int) -> int:
        """Append a call of GLSL's library."""
        return self.op(Op.ExtInst, kind, self.module.glsl, function, *operands)

    def variable(self, pointed: int) -> int:
        """Return the id of a new local variable."""
        found = self.module.id()
        pointer = self.module.pointer(Storage.Function, pointed)
        self._variables += encode(Op.Variable, pointer, found, Storage.Function)
        return found

    @contextmanager
    def when(self, condition: int) -> Iterator[Callable[[], None]]:
        """Run a block under a condition; calling what is yielded begins the other case."""
        then, other, merge = (self.module.id() for _ in range(3))
        known = dict(self._known)
        self.add(Op.SelectionMerge, merge, 0)
        self.add(Op.BranchConditional, condition, then, other)
        self._label(then, known)
        begun: list[int] = []

        def otherwise() -> None:
            begun.append(other)
            self.add(Op.Branch, merge)
            self._label(other, known)

        yield otherwise
        self.add(Op.Branch, merge)
        if not begun:
            self._label(other, known)
            self.add(Op.Branch, merge)
        self._label(merge, known)

    @contextmanager
    def loop(
        self, condition: Callable[[], int], step: Callable[[], None], unroll: bool = False
    ) -> Iterator[None]:
        """Repeat a block: `condition` is computed before each round, `step` after it."""
        head, test, block, further, merge = (self.module.id() for _ in range(5))
        known = dict(self._known)
        self.add(Op.Branch, head)
        self._label(head, known)
        self.add(Op.LoopMerge, merge, further, int(unroll))
        self.add(Op.Branch, test)
        self._label(test, known)
        self.add(Op.BranchConditional, condition(), block, merge)
        self._label(block, known)
        self._loops.append((merge, further))
        yield
        self._loops.pop()
        self.add(Op.Branch, further)
        self._label(further, known)
        step()
        self.add(Op.Branch, head)
        self._label(merge, known)

    def leave(self, again: bool) -> None:
        """Leave the innermost loop, or begin its next round; what follows is not reached."""
        if not self._loops:
            raise NotImplementedError("it leaves a loop where there is none")
        self.add(Op.Branch, self._loops[-1][again])
        self._label(self.module.id(), {})

    def end(self) -> None:
        """Return from the kernel; what follows is not reached."""
        self.add(Op.Return)
        self._label(self.module.id(), {})

    def finish(self) -> list[int]:
        """Return the function's words, from after `OpFunction` on."""
        first = encode(Op.Label, self.module.id())
        return [*first, *self._variables, *self._code, *encode(Op.Return), *encode(Op.FunctionEnd)]

    def _label(self, label: int, known: dict[tuple[int, ...], int]) -> None:
        self.add(Op.Label, label)
        self._known = dict(known)
        self._loaded = {}
