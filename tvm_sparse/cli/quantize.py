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
    model: Path, data: Path | None, skip: str | None, tell: Callable[[str], None], **options: Any
) -> Any:
    """Return a model with its layers quantized, by the samples in a file; as it is without."""
    if data is None:
        if skip or options != _DEFAULTS:
            raise typer.BadParameter(
                "--calibration, --symmetric, --equalize, --no-correct-bias and --skip say how to "
                "quantize; give samples, too: --quantize samples.npy"
            )
        return model
    from tvm_sparse.quantization import quantize, samples

    tell("quantizing")
    return quantize(model, samples.load(data), skip=skip.split(",") if skip else (), **options)


_DEFAULTS = {"method": "minmax", "symmetric": False, "equalize": False, "correct_bias": True}
