"""Give layers of a pruned network fewer bits: all of them, or those that a plan names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tvm
from torch import nn

from tvm_sparse import aside
from tvm_sparse.errors import ConfigError
from tvm_sparse.planning.plan import Plan
from tvm_sparse.precision import Precision
from tvm_sparse.quantization import quantize
from tvm_sparse.report import LayerReport
from tvm_sparse.workflow.config import Config
from tvm_sparse.workflow.shared import Shared


def wanted_bits(config: Config, plan: Plan) -> int | Plan | None:
    """Return the bits of all layers, or the plan that tells them; None if all stay in float."""
    if config.quantize.bits < 32:
        return config.quantize.bits
    return plan if plan.bits < 32 else None


def rounded(model: nn.Module, bits: int | Plan, shared: Shared) -> tvm.IRModule:
    """Return a network quantized by what training images show.

    Errors are those of `tvm_sparse.quantize`.
    """
    wanted = shared.config.quantize
    images = shared.images.sample(wanted.images)[0]
    return quantize(
        model,
        [image[None].numpy() for image in images],
        bits,
        method=wanted.method,
        symmetric=wanted.symmetric,
        skip=wanted.skip,
        target=shared.target,
    )


def counted(rows: Iterable[LayerReport]) -> dict[str, int]:
    """Return how many layers have each precision but float32, e.g. ``{"int8": 5, "int4": 2}``."""
    return dict(Counter(Precision.parse(row.bits).name for row in rows if row.bits < 32))


def save(mod: tvm.IRModule, path: Path) -> None:
    """Write a module to a file that `load` reads."""
    aside.replace(path, tvm.ir.save_json(mod).encode())


def load(path: Path) -> Any:
    """Return a module of a file.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    try:
        return tvm.ir.load_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot read the quantized network {path}: {error}; remove quantize.json beside it "
            "and run again"
        ) from error
