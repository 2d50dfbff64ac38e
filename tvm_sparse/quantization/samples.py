"""Read sample inputs from a file of numpy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import InputError

Array = npt.NDArray[Any]


def load(path: Path) -> list[tuple[Array, ...]]:
    """Return the samples that a file holds, each an array for every input of a model.

    Parameters
    ----------
    path : Path
        An ``.npy`` file for a model of one input, or an ``.npz`` with an array for each, in order.
        Each has the shape (samples, *shape of the input).

    Raises
    ------
    InputError
        If the file cannot be read, or its arrays hold unequally many samples, or none.
    """
    try:
        content = np.load(path)
        arrays = [content] if isinstance(content, np.ndarray) else [*content.values()]
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"cannot read the samples in {path}: {error}; expected an .npy or .npz file of numpy"
        ) from error
    numbers = {len(array) if array.ndim else 0 for array in arrays}
    if len(numbers) != 1 or not min(numbers):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise InputError(
            f"{path} must hold an array for each input, (samples, *shape of the input), with "
            f"equally many samples; got {shapes}"
        )
    return list(zip(*arrays, strict=True))
