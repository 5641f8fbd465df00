"""Whether a difference is real: FASTER, SLOWER, SAME, or UNKNOWN with what would settle it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stagebench.statistics.ratio import Ratio

SMALLEST_DIFFERENCE = 0.05
"""A difference that is smaller is none, where `--smallest` says nothing else."""
LEAST_SMALLEST = 0.005
"""The smallest that it may be: below it, a clock and a timer's call are in what is measured."""
MOST_PROCESSES = 100
"""Beyond so many, no number of processes is named that would settle a verdict."""

Word = Literal["FASTER", "SLOWER", "SAME", "UNKNOWN"]


@dataclass(frozen=True)
class Verdict:
    """What may be said of a case against another."""

    word: Word
    reason: str = ""
    """Why it is UNKNOWN, and what would help."""
    more: int | None = None
    """Of UNKNOWN: how many more processes of each case would settle it, if the estimate stays as it is."""


def verdict(
    ratio: Ratio, smallest: float = SMALLEST_DIFFERENCE, seconds_per_process: float | None = None
) -> Verdict:
    """Judge a ratio.

    FASTER and SLOWER need an interval without 1 and a difference above the larger of `smallest` and the noise
    floor; SAME needs an interval that stays within `smallest` on both sides. All else is UNKNOWN.

    Args:
        ratio: of the case to the other.
        smallest: the smallest difference that counts, as a share.
        seconds_per_process: what one more process of each case takes, where that is known.

    """
    word = word_of(ratio, smallest)
    if word != "UNKNOWN":
        return Verdict(word)
    more = _more(ratio, smallest)
    if more is not None:
        lasts = f", at least {_duration(more * seconds_per_process)} more" if seconds_per_process else ""
        return Verdict("UNKNOWN", f"--processes={ratio.processes + more} may settle it{lasts}", more)
    if ratio.drift:
        return Verdict("UNKNOWN", "runs at different times drift apart by as much: measure both in one run")
    return Verdict(
        "UNKNOWN",
        f"too close to {100 * smallest:.2g}% for {MOST_PROCESSES} processes: give another --smallest",
    )


def word_of(ratio: Ratio, smallest: float) -> Word:
    """Return the word of a verdict alone."""
    low, high = ratio.interval
    limit = 1 + max(smallest, ratio.floor)
    if low > 1 and ratio.estimate >= limit:
        return "SLOWER"
    if high < 1 and ratio.estimate <= 1 / limit:
        return "FASTER"
    if low > 1 / (1 + smallest) and high < 1 + smallest:
        return "SAME"
    return "UNKNOWN"


def below_floor(ratio: Ratio, smallest: float) -> bool:
    """Say whether the noise floor alone makes a ratio UNKNOWN: it counts, and its interval excludes 1."""
    apart = ratio.interval[0] > 1 or ratio.interval[1] < 1
    counts = max(ratio.estimate, 1 / ratio.estimate) >= 1 + smallest
    return apart and counts and word_of(ratio, smallest) == "UNKNOWN"


def _more(ratio: Ratio, smallest: float) -> int | None:
    """Return how many more processes would settle it, if the ratio and its spread stayed as they are."""
    for more in range(1, MOST_PROCESSES - ratio.processes + 1):
        if word_of(ratio.after(ratio.processes + more), smallest) != "UNKNOWN":
            return more
    return None


def _duration(seconds: float) -> str:
    return f"{max(1, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
