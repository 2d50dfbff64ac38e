"""How good predictions of measured times are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How good predictions of measured times are.

    Parameters
    ----------
    number : int
        Cells that were compared.
    within : float
        Share of predictions within 10 % of the measured time.
    error : float
        Median relative error.
    tau : float
        Kendall's rank correlation.
    """

    number: int
    within: float
    error: float
    tau: float

    @classmethod
    def of(cls, predicted: Array, measured: Array) -> Accuracy:
        """Compare predictions with what was measured, arrays of one shape (n,)."""
        off = np.abs(predicted / measured - 1)
        return cls(
            number=len(off),
            within=float((off <= 0.1).mean()),
            error=float(np.median(off)),
            tau=kendall(predicted, measured),
        )

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.within:.1%} of {self.number} cells within 10 %, median error "
            f"{self.error:.1%}, Kendall τ {self.tau:.3f}"
        )


def kendall(first: Array, second: Array) -> float:
    """Return Kendall's rank correlation of two arrays of shape (n,), n of two or more."""
    a, b = (np.sign(one[:, None] - one[None, :]) for one in (first, second))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
