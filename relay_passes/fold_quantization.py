"""Compute layers between dequantization and quantization with integers.

Before::

    xq = R.quantize(x, 0.1, 0, "uint8")                     # (1, 64, 56, 56)
    xf = R.dequantize(xq, 0.1, 0)
    y  = R.nn.conv2d(xf, R.dequantize(w, scale, 0), ...)    # w: int8, a scale for each filter
    yq = R.quantize(R.nn.relu(R.add(y, b)), 0.2, 0, "uint8")

After::

    xw = R.call_tir(quantize, (x,), ...)                    # (1, 16, 56, 56) words of four channels
    yw = R.call_tir(integer_conv2d, (xw, values, offset, ptr, start, factor), ...)      # words

Bias, the sum with a quantized residual, ReLU and clipping are part of the integer kernel; a layer
whose output is not quantized gives floats. Whoever dequantizes a tensor reads its words. Layers
that must stay in float get their weights as floats, and the report says why. Pooling windows read
words on CPUs alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import tvm
from tvm import relax

from tvm_sparse.integer_choice import choose
from tvm_sparse.relay_passes import between, expr, integer_kernels, quantized, record, scope
from tvm_sparse.relay_passes.between import Between
from tvm_sparse.relay_passes.emit_words import Words
from tvm_sparse.relay_passes.fold_constants import FoldConstants
from tvm_sparse.relay_passes.integer_kernels import Decide
from tvm_sparse.relay_passes.left_in_float import left_in_float
from tvm_sparse.relay_passes.quantized import Found
from tvm_sparse.report import LayerReport
from tvm_sparse.targets import Target


@tvm.transform.module_pass(opt_level=0, name="FoldQuantization")
class FoldQuantization(scope.ForTarget):
    """Replace quantized layers by integer kernels.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether zeros may be skipped.
    decide : callable, optional
        How to compute each layer on a CPU, in place of `tvm_sparse.integer_choice.choose`.
    """

    def __init__(
        self, target: Target | None = None, sparse: bool = True, decide: Decide = choose
    ) -> None:
        super().__init__(target)
        self.sparse, self.decide = sparse, decide

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, fold the weights that stay floats, drop what is dead."""
        plans: list[_Plan] = []
        names, target = record.names(mod), self.target

        def changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
            plans.append(_Plan(uses, names, target, self.sparse, self.decide))
            return plans[-1].changes()

        mod = expr.rebind(mod, changes)
        mod = record.add(mod, [row for plan in plans for row in plan.rows])
        for why in (why for plan in plans for why in plan.floats):
            mod = record.note(mod, why)
        tidy = [FoldConstants(), relax.transform.DeadCodeElimination()]
        mod = tvm.transform.Sequential(tidy)(mod) if plans else mod
        floats = left_in_float(mod) if any(plan.rows for plan in plans) else ""
        return record.note(mod, floats) if floats else mod


class _Plan:
    """What becomes of one function's quantized tensors."""

    def __init__(
        self,
        uses: expr.Uses,
        names: dict[str, str],
        target: Target,
        sparse: bool,
        decide: Decide,
    ) -> None:
        self.uses, self.target, self.sparse, self.decide = uses, target, sparse, decide
        self.names = names
        self.words = Words(target.dot)
        self.rows: list[LayerReport] = []
        self.floats: list[str] = []
        self.needed: dict[relax.Var, set[str]] = defaultdict(set)  # kinds of layers that read words

    def changes(self) -> dict[relax.Var, expr.Change]:
        """Return what to change, by variables."""
        integers = self._integers()
        stored = (var for var in self._calls(quantized.QUANTIZE) if var not in integers)
        others = {var: between.find(self.uses, var, self.target) for var in stored}
        for layer in integers.values():
            for read in layer.reads:
                self.needed[read].add(layer.layer.op)
        changes = {v: self._integer(v, integers[v]) for v in self.uses.values if v in integers}
        for var, other in others.items():
            if other is not None:
                changes[var] = self._between(var, other)
                for read in other.reads:
                    self.needed[read].add(other.op)
        changes |= {v: self._quantize(v) for v in self.needed if v not in changes}
        for var in self._calls(quantized.DEQUANTIZE):
            changes |= self._dequantize(var)
        return changes

    def _calls(self, name: str) -> list[relax.Var]:
        return [var for var, value in self.uses.values.items() if expr.op_name(value) == name]

    def _integers(self) -> dict[relax.Var, Found]:
        """Return the layers by where they end: at a quantize, with their bias, or alone."""
        left, integers = self._layers(), {}
        ends = [(var, quantized.epilogue) for var in self._calls(quantized.QUANTIZE)]
        ends += [(var, quantized.biased) for var in reversed(self._calls("relax.add"))]
        for var, read in ends:
            found = read(self.uses, var, left)
            if found is not None:
                integers[var] = found
                del left[found.var]
        return {**integers, **left}

    def _layers(self) -> dict[relax.Var, Found]:
        known: dict[relax.Var, Found] = {}
        for var in self.uses.values:
            name = self.names.get(var.name, var.name)
            found = quantized.layer(self.uses, var, name)
            if isinstance(found, Found):
                found = integer_kernels.objection(found, self.target) or found
            if isinstance(found, Found):
                known[var] = found
            elif found is not None:
                self.floats.append(f"{name} stays in float: {found}")
        return known

    def _integer(self, var: relax.Var, found: Found) -> expr.Change:
        """Return the change of a layer's sums to floats, or of its quantized output to words."""
        bound, row = integer_kernels.kernel(found, self.target, self.sparse, self.decide)
        self.rows.append(row)

        def change(call: Any, builder: relax.BlockBuilder) -> Any:
            value = self.words.layer(var, call, builder, found, bound)
            return self._packed(var, value, builder)

        return change

    def _between(self, var: relax.Var, found: Between) -> expr.Change:
        def change(call: Any, builder: relax.BlockBuilder) -> Any:
            value = found.emit(self.words, var, call, builder, self.target)
            return self._packed(var, value, builder)

        return change

    def _packed(self, var: relax.Var, value: Any, builder: relax.BlockBuilder) -> Any:
        """Return the bytes of a tensor, once all words of it that are needed are known."""
        for op in sorted(self.needed.get(var, ())):
            value = builder.emit(value)
            self.words.pack(var, op, value, builder)
        return value

    def _quantize(self, var: relax.Var) -> expr.Change:
        """Return the change of bytes to words as well."""
        made = self.uses.values[var]
        stored = expr.op_name(made) == quantized.QUANTIZE
        known = quantized.meaning(self.uses, made) if stored else None
        if known is None:  # computed in another way, or by computed numbers
            return lambda call, builder: self._packed(var, call, builder)

        def change(call: Any, builder: relax.BlockBuilder) -> Any:
            for op in sorted(self.needed[var]):
                self.words.quantize(var, op, call.args[0], builder, known)
            return call

        return change

    def _dequantize(self, var: relax.Var) -> dict[relax.Var, expr.Change]:
        """Return the change to floats, of a weight or of a tensor's words, if there is one."""
        call = self.uses.values[var]
        value = quantized.dequantized(self.uses, call)
        if value is not None:
            floats = value.astype(np.float32)
            return {var: lambda call, builder: expr.const(floats)}
        found = quantized.source(self.uses, var)
        if found is None:
            return {}
        return {var: lambda call, builder: self.words.real(*found, call, builder)}
