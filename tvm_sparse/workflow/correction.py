"""Which budget to ask for next, when a plan's network missed the wanted one."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

_AIM = 1.005  # of the wanted speed
_STEEP = 4.0  # how far two tries may differ from proportion before they count as noise


def corrected(tries: Sequence[tuple[float, float]], slope: float) -> float:
    """Return the budget to ask for: on the line through the last two tries, in logarithms.

    Parameters
    ----------
    tries : sequence of (asked, share)
        At least one: what was asked for, and which share of the wanted speed was measured.
    slope : float
        Of log share over log asked where there is one try: 1 for speed-ups, -1 for times.
    """
    asked, share = tries[-1]
    if len(tries) > 1:
        before, then = tries[-2]
        found = log(share / then) / log(asked / before) if asked != before else slope
        slope = found if 1 / _STEEP <= found / slope <= _STEEP else slope
    return float(asked * (_AIM / share) ** (1 / slope))
