"""Whether what was built answers as it should, and how well it classifies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tvm_sparse.compiled import Compiled
from tvm_sparse.errors import ModelError
from tvm_sparse.workflow.data import Images

_ERROR = 1e-4  # largest difference to torch, relative to the largest output
_STEPS = 0.02  # the same of int8 networks to one that skips nothing: sums near half a step may
# be rounded the other way where floats before them differ in the last bit
_TESTED = 2000  # images that a compiled network sees at most
_KEPT = 64  # images whose answers are written down

Answer = Callable[[Tensor], Tensor]


def exactly(compiled: Compiled, model: nn.Module, data: Images) -> tuple[float, float]:
    """Return a compiled network's accuracy, and how far it is from torch.

    Raises
    ------
    ModelError
        If it is too far.
    """

    def expected(images: Tensor) -> Tensor:
        with torch.inference_mode():
            answers: Tensor = model(images)
        return answers

    return _compared(compiled, expected, data, _ERROR)


def alike(compiled: Compiled, dense: Compiled, data: Images) -> tuple[float, float]:
    """Return a quantized network's accuracy, and how far it is from one that skips no zeros.

    Raises
    ------
    ModelError
        If it is too far.
    """
    return _compared(compiled, lambda images: _answers(dense, images), data, _STEPS)


def accuracy(compiled: Compiled, data: Images) -> float:
    """Return the share of test images whose class a compiled network predicts."""
    right, total = 0, 0
    for images, labels in data.tested():
        if total >= _TESTED:
            break
        right += int((_answers(compiled, images).argmax(1) == labels).sum())
        total += len(labels)
    return right / total


def note(compiled: Compiled, data: Images, path: Path) -> None:
    """Write down some test images and the classes that are predicted: ``images``, ``predictions``.

    A process that runs the exported network can compare its own with them.
    """
    images = next(data.tested())[0][:_KEPT]
    predictions = _answers(compiled, images).argmax(1)
    np.savez(path, images=images.numpy(), predictions=predictions.numpy())


def _compared(
    compiled: Compiled, expected: Answer, data: Images, most: float
) -> tuple[float, float]:
    right, total, apart, largest = 0, 0, 0.0, 1e-30
    for images, labels in data.tested():
        if total >= _TESTED:
            break
        answers, wanted = _answers(compiled, images), expected(images)
        apart = max(apart, float((answers - wanted).abs().max()))
        largest = max(largest, float(wanted.abs().max()))
        right, total = right + int((answers.argmax(1) == labels).sum()), total + len(labels)
    if apart > most * largest:
        raise ModelError(
            f"the compiled network is off by {apart / largest:.1e} of the largest output, at most "
            f"{most:.0e} was expected: this is a bug, please report it with the model"
        )
    return right / total, apart / largest


def _answers(compiled: Compiled, images: Tensor) -> Tensor:
    """Return the answers of a network for one image, image by image."""
    return torch.cat([compiled(image[None]) for image in images])
