"""Make layers of a pruned network int8: all of them, or those that a plan names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import tvm
from torch import nn

from tvm_sparse import aside
from tvm_sparse.errors import ConfigError
from tvm_sparse.planning.plan import Plan
from tvm_sparse.quantization import quantize
from tvm_sparse.workflow.config import Config
from tvm_sparse.workflow.shared import Shared


def in_float(config: Config, plan: Plan) -> Collection[str] | None:
    """Return the layers that stay in float; None if all do."""
    skipped = config.quantize.skip
    if config.quantize.bits < 32:
        return skipped
    floats = [name for name, one in plan.layers.items() if one.bits == 32]
    return None if len(floats) == len(plan.layers) else {*floats, *skipped}


def rounded(model: nn.Module, skip: Collection[str], shared: Shared) -> tvm.IRModule:
    """Return a network quantized by what training images show, but for some layers.

    Errors are those of `tvm_sparse.quantize`.
    """
    wanted = shared.config.quantize
    images = shared.images.sample(wanted.images)[0]
    return quantize(
        model,
        [image[None].numpy() for image in images],
        method=wanted.method,
        symmetric=wanted.symmetric,
        skip=skip,
        target=shared.target,
    )


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
