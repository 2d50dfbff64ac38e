"""What a candidate is called with: a file beside its library, which whoever runs it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FILE = "arguments.npz"
CLOSE = 1e-4  # sums of floats, taken in another order
_SCALARS = ("constants", "name", "cores", "tolerance")  # what stands beside the arrays


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a candidate is called with.

    Parameters
    ----------
    arrays : tuple of array
        In the order of its parameters; the last one is the output, filled with NaN.
    constants : tuple of int
        Which of them are constants: weights and indices.
    name : str
        Of what is computed; candidates of one name compute the same.
    cores : int
        Threads that it is for.
    tolerance : float
        By how much outputs may differ, relative to the largest; 0 if they must be equal.
    """

    arrays: tuple[Array, ...]
    constants: tuple[int, ...]
    name: str
    cores: int
    tolerance: float = CLOSE

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` left in a candidate's folder."""
        with np.load(folder / _FILE) as file:
            arrays = tuple(file[str(place)] for place in range(len(file.files) - len(_SCALARS)))
            constants = tuple(int(place) for place in file["constants"])
            return cls(
                arrays=arrays,
                constants=constants,
                name=str(file["name"]),
                cores=int(file["cores"]),
                tolerance=float(file["tolerance"]),
            )

    def write(self, folder: Path) -> None:
        """Write the arguments into a candidate's folder, as ``arguments.npz``.

        ``0``, ``1``, … are the arrays; the rest has its own names.
        """
        np.savez(
            folder / _FILE,
            **{str(place): array for place, array in enumerate(self.arrays)},  # type: ignore[arg-type]
            constants=np.array(self.constants, np.int64),
            name=np.array(self.name),
            cores=np.array(self.cores),
            tolerance=np.array(self.tolerance),
        )

    def verify(self, output: Array, shared: Path) -> None:
        """Compare an output with the first of its name, which is the default kernel's.

        Parameters
        ----------
        output : array
            What the candidate computed.
        shared : Path
            A folder for first outputs.

        Raises
        ------
        ValueError
            If they differ by more than is tolerated.
        """
        first = shared / f"{self.name}.npy"
        if not first.exists():
            np.save(first, output)
            return
        right = np.load(first)
        if self.tolerance == 0:
            if not np.array_equal(output, right):
                wrong = float(np.mean(output != right))
                raise ValueError(f"wrong output: {wrong:.1%} of its numbers, all must be equal")
            return
        error = float(np.abs(output - right).max() / max(float(np.abs(right).max()), 1e-30))
        if not error <= self.tolerance:  # NaN is wrong as well
            raise ValueError(
                f"wrong output: relative error {error:.1e}, at most {self.tolerance} is allowed"
            )
