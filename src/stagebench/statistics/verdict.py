"""Whether a difference is real: FASTER, SLOWER, SAME, or UNKNOWN with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stagebench.statistics.ratio import Ratio

SMALLEST_DIFFERENCE = 0.05
"""A difference that is smaller is none: equal builds of a framework differ by as much."""
MINIMUM_PROCESSES = 3


@dataclass(frozen=True)
class Verdict:
    """What may be said of a case against another."""

    word: Literal["FASTER", "SLOWER", "SAME", "UNKNOWN"]
    reason: str = ""
    """Why it is UNKNOWN, and what would help."""


def verdict(ratio: Ratio, floor: float | None, no_floor: str = "") -> Verdict:
    """Judge a ratio.

    FASTER and SLOWER need an interval without 1 and a difference above the larger of 5% and the noise
    floor; SAME needs an interval that stays within 5% on both sides. Everything else is UNKNOWN.

    Args:
        ratio: of the case to the other.
        floor: the noise floor at the ratio's number of processes, as a share; None if there is none.
        no_floor: why there is none.

    """
    if ratio.unit == "rounds" or ratio.pairs < MINIMUM_PROCESSES:
        return Verdict("UNKNOWN", f"fewer than {MINIMUM_PROCESSES} processes a case: give --processes=5")
    if floor is None or ratio.interval is None:
        return Verdict("UNKNOWN", no_floor)
    low, high = ratio.interval
    limit = 1 + max(SMALLEST_DIFFERENCE, floor)
    if low > 1 and ratio.estimate > limit:
        return Verdict("SLOWER")
    if high < 1 and ratio.estimate < 1 / limit:
        return Verdict("FASTER")
    if low > 1 / (1 + SMALLEST_DIFFERENCE) and high < 1 + SMALLEST_DIFFERENCE:
        return Verdict("SAME")
    if 1 / limit < ratio.estimate < limit and floor > SMALLEST_DIFFERENCE:
        return Verdict("UNKNOWN", f"equal cases differ by as much here (noise floor {floor:.0%})")
    return Verdict("UNKNOWN", "interval too wide to tell: give more --processes, or --within with --max-time")
