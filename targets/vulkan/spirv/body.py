"""The code of a kernel: instructions, local variables, structured control flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tvm_sparse.targets.vulkan.spirv.codes import Glsl, Op, Storage
from tvm_sparse.targets.vulkan.spirv.module import Module, encode
from tvm_sparse.targets.vulkan.spirv.types import Type


class Body:
    """Code under construction.

    Parameters
    ----------
    module : Module
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self._variables: list[int] = []
        self._code: list[int] = []
        # Where `break` and `continue` of the loops around go.
        self._loops: list[tuple[int, int]] = []

    def add(self, op: Op, *operands: int) -> None:
        """Append an instruction without a result."""
        self._code += encode(op, *operands)

    def op(self, op: Op, kind: Type, *operands: int) -> int:
        """Append an instruction, and return its scalar result."""
        return self.result(op, self.module.scalar(kind), *operands)

    def result(self, op: Op, type_id: int, *operands: int) -> int:
        """Append an instruction whose result has any type, and return it."""
        found = self.module.id()
        self.add(op, type_id, found, *operands)
        return found

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
        self.add(Op.SelectionMerge, merge, 0)
        self.add(Op.BranchConditional, condition, then, other)
        self._label(then)
        begun: list[int] = []

        def otherwise() -> None:
            begun.append(other)
            self.add(Op.Branch, merge)
            self._label(other)

        yield otherwise
        self.add(Op.Branch, merge)
        if not begun:
            self._label(other)
            self.add(Op.Branch, merge)
        self._label(merge)

    @contextmanager
    def loop(
        self, condition: Callable[[], int], step: Callable[[], None], unroll: bool = False
    ) -> Iterator[None]:
        """Repeat a block: `condition` is computed before each round, `step` after it."""
        head, test, block, further, merge = (self.module.id() for _ in range(5))
        self.add(Op.Branch, head)
        self._label(head)
        self.add(Op.LoopMerge, merge, further, int(unroll))
        self.add(Op.Branch, test)
        self._label(test)
        self.add(Op.BranchConditional, condition(), block, merge)
        self._label(block)
        self._loops.append((merge, further))
        yield
        self._loops.pop()
        self.add(Op.Branch, further)
        self._label(further)
        step()
        self.add(Op.Branch, head)
        self._label(merge)

    def leave(self, again: bool) -> None:
        """Leave the innermost loop, or begin its next round; what follows is not reached."""
        if not self._loops:
            raise NotImplementedError("it leaves a loop where there is none")
        self.add(Op.Branch, self._loops[-1][again])
        self._label(self.module.id())

    def end(self) -> None:
        """Return from the kernel; what follows is not reached."""
        self.add(Op.Return)
        self._label(self.module.id())

    def finish(self) -> list[int]:
        """Return the function's words, from after `OpFunction` on."""
        first = encode(Op.Label, self.module.id())
        return [*first, *self._variables, *self._code, *encode(Op.Return), *encode(Op.FunctionEnd)]

    def _label(self, label: int) -> None:
        self.add(Op.Label, label)
