"""How much longer one case takes than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from stagebench.statistics.interval import interval_of_mean, quantile_of_t

Rounds = Sequence[float]
"""Seconds of the rounds of one fresh process, in the order in which they were taken."""


@dataclass(frozen=True)
class Ratio:
    """The time of one case divided by that of another: above 1 is slower."""

    estimate: float
    """Geometric mean of the ratios of pairs that were measured next to each other."""
    interval: tuple[float, float] | None
    """95%, from Student's t over the logarithms of the pairs; None where there is only one pair."""
    pairs: int
    unit: Literal["processes", "rounds"]
    """What the pairs are. An interval over rounds does not cover the variation from process to process."""

    @property
    def half_width(self) -> float:
        """How far the interval reaches on either side, as a share: 0.02 is +-2%. Infinite without one."""
        if self.interval is None:
            return float("inf")
        low, high = self.interval
        return float((high / low) ** 0.5) - 1

    def __str__(self) -> str:
        if self.interval is None:
            return digits(self.estimate)
        low, high = self.interval
        return f"{digits(self.estimate)} ({digits(low)} to {digits(high)})"


def paired_ratio(case: Sequence[Rounds], other: Sequence[Rounds]) -> Ratio:
    """Return the ratio of a case to another that was measured interleaved with it.

    Of several processes each counts once, by the median of its rounds: rounds of one process resemble each
    other (they share its memory layout, its caches, its moment), and are no independent evidence. Of a
    single process the rounds are the pairs, for want of better.

    Args:
        case: seconds of every round, by process; process `i` of both ran at the same time.
        other: the same of the other case, with as many processes, and as many rounds in each.

    """
    if len(case) > 1:
        pairs = list(zip(map(median, case), map(median, other), strict=True))
    else:
        pairs = list(zip(case[0], other[0], strict=True))
    logs = np.log([a / b for a, b in pairs])
    unit: Literal["processes", "rounds"] = "processes" if len(case) > 1 else "rounds"
    return Ratio(float(np.exp(logs.mean())), interval_of_mean(logs), logs.size, unit)


def independent_ratio(case: Sequence[Rounds], other: Sequence[Rounds]) -> Ratio:
    """Return the ratio of a case to another that was measured at another time.

    The interval is Welch's over the logarithms of the processes' medians. A drift of the machine from the one
    time to the other is not in it: only interleaving (`paired_ratio`) can tell it from a difference.

    Args:
        case: seconds of every round, by process.
        other: the same of the other case; numbers of processes and rounds may differ.

    """
    unit: Literal["processes", "rounds"] = "processes" if min(len(case), len(other)) > 1 else "rounds"
    logs = [
        np.log([median(process) for process in side] if unit == "processes" else side[0])
        for side in (case, other)
    ]
    pairs = min(part.size for part in logs)
    estimate = float(logs[0].mean() - logs[1].mean())
    if pairs < 2:
        return Ratio(float(np.exp(estimate)), None, pairs, unit)
    errors = [float(part.var(ddof=1)) / part.size for part in logs]
    error = sum(errors)
    smallest = min(part.size for part in logs) - 1  # of degrees of freedom, and where nothing varies
    freedom = (
        error**2 / sum(e**2 / (part.size - 1) for e, part in zip(errors, logs, strict=True))
        if error
        else smallest
    )
    half = quantile_of_t(freedom, 0.975) * error**0.5
    return Ratio(
        float(np.exp(estimate)), (float(np.exp(estimate - half)), float(np.exp(estimate + half))), pairs, unit
    )


def interval_of(rounds: Sequence[Rounds]) -> tuple[float, float] | None:
    """Return the 95% interval of a case's own time in seconds, or None where there is a single value.

    Over its processes, each by the median of its rounds; of a single process over the rounds. It says less
    than that of a ratio: a drift of the machine, which a ratio cancels, is in it.
    """
    return interval_of_mean(np.log([median(process) for process in rounds] if len(rounds) > 1 else rounds[0]))


def digits(value: float) -> str:
    """Write three significant digits, zeros at the end included."""
    return f"{value:#.3g}".rstrip(".")
