"""The options of quantization, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Samples = Annotated[
    Path | None,
    typer.Option(help="Samples, .npy or .npz: convolutions and linear layers become int8."),
]
Bits = Annotated[
    str | None,
    typer.Option(help="Bits of weights: 8, 4, 16, int4-32, float16, …, or a plan's file."),
]
Method = Annotated[
    Literal["minmax", "percentile", "mse"],
    typer.Option(help="Which values the bytes of activations cover: all, nearly all, the best."),
]
Symmetric = Annotated[
    bool, typer.Option("--symmetric", help="Signed activations, without zero points.")
]
Equalize = Annotated[
    bool, typer.Option("--equalize", help="Give channels between layers equal ranges before.")
]
CorrectBias = Annotated[
    bool, typer.Option(help="Give back to biases what rounding takes from the mean.")
]
Skip = Annotated[str | None, typer.Option(help="Layers that stay in float, e.g. conv1,fc.")]


def quantized(
    model: Path,
    data: Path | None,
    bits: str | None,
    skip: str | None,
    tell: Callable[[str], None],
    **options: Any,
) -> Any:
    """Return a model with its layers quantized, by the samples in a file, to bits or by a plan.

    Without samples and bits it is returned as it is.
    """
    if data is None and (options != DEFAULTS or (skip and bits is None)):
        raise typer.BadParameter(
            "--calibration, --symmetric, --equalize, --no-correct-bias and --skip say how to "
            "quantize; give samples, too: --quantize samples.npy"
        )
    if data is None and bits is None:
        return model
    from tvm_sparse.quantization import quantize, samples

    tell("quantizing")
    given = () if data is None else samples.load(data)
    return quantize(model, given, _wanted(bits), skip=skip.split(",") if skip else (), **options)


def _wanted(bits: str | None) -> Any:
    """Return a number of bits, a plan, or the name of numbers."""
    from tvm_sparse.planning.plan import Plan

    if bits is None:
        return 8
    if bits.endswith(".json"):
        return Plan.read(bits)
    return int(bits) if bits.isdigit() else bits


DEFAULTS = {"method": "minmax", "symmetric": False, "equalize": False, "correct_bias": True}
