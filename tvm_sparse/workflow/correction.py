"""Which budget to ask for next, when a plan's network missed the wanted one."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

AIM = 1.005
"""Of the wanted speed."""

_SHORT, _LONG = 0.98, 1.03  # shares of the wanted speed between which a plan is good
_STEEP = 4.0  # how far two tries may differ from proportion before they count as noise
_INSIDE = 0.1  # of the way between two tries, which the next one keeps from either


def good(share: float) -> bool:
    """Whether a network is near enough to what is wanted.

    Parameters
    ----------
    share : float
        Measured over wanted speed.
    """
    return _SHORT <= share <= _LONG


def corrected(tries: Sequence[tuple[float, float]], slope: float) -> float:
    """Return the budget to ask for: on the line through two tries, in logarithms.

    The two are the slowest that was too fast and the fastest that was too slow; the next one is
    between them. Where all missed on one side, they are the last two.

    Parameters
    ----------
    tries : sequence of (asked, share)
        At least one: what was asked for, and which share of the wanted speed was measured.
    slope : float
        Of log share over log asked where there is one try: 1 for speed-ups, -1 for times.

    Examples
    --------
    >>> round(corrected([(5.0, 0.8), (7.0, 1.1), (6.5, 1.2)], 1), 2)
    6.36
    """
    slow = [one for one in tries if one[1] < AIM]
    fast = [one for one in tries if one[1] >= AIM]
    if slow and fast:
        return _between(max(slow, key=lambda one: one[1]), min(fast, key=lambda one: one[1]))
    asked, share = tries[-1]
    if len(tries) > 1:
        before, then = tries[-2]
        found = log(share / then) / log(asked / before) if asked != before else slope
        slope = found if 1 / _STEEP <= found / slope <= _STEEP else slope
    return float(asked * (AIM / share) ** (1 / slope))


def _between(slow: tuple[float, float], fast: tuple[float, float]) -> float:
    way = log(AIM / slow[1]) / log(fast[1] / slow[1])
    way = min(max(way, _INSIDE), 1 - _INSIDE)
    return exp((1 - way) * log(slow[0]) + way * log(fast[0]))
