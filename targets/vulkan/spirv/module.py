"""A SPIR-V module under construction: types and constants once each, sections in order."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping

from tvm_sparse.targets.vulkan.spirv.codes import (
    MAGIC,
    VERSION,
    BuiltIn,
    Capability,
    Decoration,
    Op,
    Storage,
)
from tvm_sparse.targets.vulkan.spirv.types import Type, words_of

# The target attribute that promises each capability, and the extension that defines it.
_NEEDS = {
    Capability.Float16: ("supports_float16", ""),
    Capability.Float64: ("supports_float64", ""),
    Capability.Int64: ("supports_int64", ""),
    Capability.Int16: ("supports_int16", ""),
    Capability.Int8: ("supports_int8", ""),
    Capability.StorageBuffer16BitAccess: ("supports_16bit_buffer", "SPV_KHR_16bit_storage"),
    Capability.StorageBuffer8BitAccess: ("supports_8bit_buffer", "SPV_KHR_8bit_storage"),
    Capability.DotProduct: ("supports_integer_dot_product", "SPV_KHR_integer_dot_product"),
    Capability.DotProductInput4x8BitPacked: ("supports_integer_dot_product", ""),
    Capability.DotProductInput4x8Bit: ("supports_integer_dot_product", ""),
}
# The bits of the attribute supported_subgroup_operations that promise each capability.
_SUBGROUPS = {
    Capability.GroupNonUniform: 1,
    Capability.GroupNonUniformArithmetic: 4,
    Capability.GroupNonUniformShuffle: 16,
}
_OF_FLOATS = {16: Capability.Float16, 64: Capability.Float64}
_OF_INTEGERS = {8: Capability.Int8, 16: Capability.Int16, 64: Capability.Int64}


def encode(op: Op, *operands: int | str) -> list[int]:
    """Return the words of an instruction."""
    words: list[int] = []
    for operand in operands:
        if isinstance(operand, str):
            text = operand.encode() + b"\0"
            text += bytes(-len(text) % 4)
            words += struct.unpack(f"<{len(text) // 4}I", text)
        else:
            words.append(operand)
    return [(len(words) + 1) << 16 | op, *words]


class Module:
    """The parts of a module other than its function's code.

    Parameters
    ----------
    features : mapping
        What the device supports: the target's attributes ``supports_…``.
    """

    def __init__(self, features: Mapping[str, bool]) -> None:
        self._features = features
        self._number = 0
        self._capabilities = [Capability.Shader]
        self._extensions: list[str] = []
        self._known: dict[Hashable, int] = {}
        self.numbers: dict[int, float] = {}  # of constants
        self.decorations: list[int] = []
        self.globals: list[int] = []
        self.inputs: list[int] = []
        self.glsl = self.id()

    def id(self) -> int:
        """Return a new result id."""
        self._number += 1
        return self._number

    def need(self, capability: Capability) -> None:
        """Declare a capability.

        Raises
        ------
        NotImplementedError
            If the target does not promise it.
        """
        if capability in self._capabilities:
            return
        attribute, extension = _NEEDS.get(capability, ("supported_subgroup_operations", ""))
        wanted = _SUBGROUPS.get(capability, 1)
        if not int(self._features.get(attribute, 0)) & wanted:
            raise NotImplementedError(
                f"it needs SPIR-V's capability {capability.name}, and the target does not say "
                f"{attribute}: set it if the device has that, or use another type"
            )
        self._capabilities.append(capability)
        if extension:
            self._extensions.append(extension)

    def supports(self, attribute: str) -> bool:
        """Whether the target promises something."""
        return bool(self._features.get(attribute))

    def define(self, op: Op, *operands: int) -> int:
        """Return the id of a type; equal ones are defined once."""
        key = (op, *operands)
        if key not in self._known:
            self._known[key] = self.id()
            self.globals += encode(op, self._known[key], *operands)
        return self._known[key]

    def scalar(self, kind: Type) -> int:
        """Return the id of a scalar type."""
        if kind.kind == "bool":
            return self.define(Op.TypeBool)
        table = _OF_FLOATS if kind.kind == "float" else _OF_INTEGERS
        if kind.bits in table:
            self.need(table[kind.bits])
        if kind.kind == "float":
            return self.define(Op.TypeFloat, kind.bits)
        return self.define(Op.TypeInt, kind.bits, int(kind.kind == "int"))

    def vector(self, kind: Type, lanes: int) -> int:
        """Return the id of a vector type of two to four lanes."""
        return self.define(Op.TypeVector, self.scalar(kind), lanes)

    def pointer(self, storage: Storage, pointed: int) -> int:
        """Return the id of a pointer type."""
        return self.define(Op.TypePointer, storage, pointed)

    def constant(self, kind: Type, value: float) -> int:
        """Return the id of a scalar constant."""
        type_id = self.scalar(kind)
        key: Hashable
        if kind.kind == "bool":
            op, words = (Op.ConstantTrue if value else Op.ConstantFalse), []
        else:
            op, words = Op.Constant, words_of(kind, value)
        key = (op, type_id, *words)
        if key not in self._known:
            self._known[key] = self.id()
            self.globals += encode(op, type_id, self._known[key], *words)
            self.numbers[self._known[key]] = value
        return self._known[key]

    def variable(self, storage: Storage, pointed: int) -> int:
        """Return the id of a new variable outside of functions."""
        found = self.id()
        self.globals += encode(Op.Variable, self.pointer(storage, pointed), found, storage)
        return found

    def decorate(self, target: int, decoration: Decoration, *operands: int) -> None:
        """Decorate a variable or type."""
        self.decorations += encode(Op.Decorate, target, decoration, *operands)

    def built_in(self, which: BuiltIn, kind: int) -> int:
        """Return the id of an input of the device's, of a type; each is declared once."""
        if which not in self._known:
            self._known[which] = self.variable(Storage.Input, kind)
            self.decorate(self._known[which], Decoration.BuiltIn, which)
            self.inputs.append(self._known[which])
        return self._known[which]

    def define_struct(self, found: int, members: list[int]) -> None:
        """Define a struct of its own, even if there is one like it."""
        self.globals += encode(Op.TypeStruct, found, *members)

    def decorate_member(self, struct_id: int, member: int, what: Decoration, value: int) -> None:
        """Decorate a member of a struct."""
        self.decorations += encode(Op.MemberDecorate, struct_id, member, what, value)

    def once(self, key: Hashable) -> bool:
        """Whether this is the first time that something is asked for."""
        first = key not in self._known
        self._known[key] = 0
        return first

    def finish(self, name: str, threads: list[int], function: list[int]) -> list[int]:
        """Return all words of the module.

        Parameters
        ----------
        name : str
            Of the entry point.
        threads : list of int
            The workgroup's size.
        function : list of int
            The entry point's words, from after `OpFunction` on.
        """
        void = self.define(Op.TypeVoid)
        signature = self.define(Op.TypeFunction, void)
        main = self.id()
        words = [MAGIC, VERSION, 0, self._number + 1, 0]
        for capability in self._capabilities:
            words += encode(Op.Capability, capability)
        for extension in self._extensions:
            words += encode(Op.Extension, extension)
        words += encode(Op.ExtInstImport, self.glsl, "GLSL.std.450")
        words += encode(Op.MemoryModel, 0, 1)  # logical addresses, GLSL's memory model
        words += encode(Op.EntryPoint, 5, main, name, *self.inputs)
        words += encode(Op.ExecutionMode, main, 17, *threads)
        words += self.decorations + self.globals
        return words + encode(Op.Function, void, main, 0, signature) + function
