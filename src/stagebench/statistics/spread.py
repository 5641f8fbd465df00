"""How far a figure scatters from one process to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

Rounds = Sequence[float]
"""Seconds of the rounds of one process, in the order in which they were taken."""
Logs = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A standard deviation of logarithms that was seen, and how well it is known by that."""

    value: float
    """0.03 is 3%."""
    freedom: float
    """Degrees of freedom: one less than the processes, if their mean was taken from them as well."""
    weight: float = 1.0
    """How much it counts beside others that do not share a case with it."""


def logs_of(rounds: Sequence[Rounds]) -> Logs:
    """Return one logarithm for each process: of the median of its rounds.

    Rounds of one process resemble each other (they share its memory layout, its caches, its moment), and
    are no independent evidence.
    """
    return np.log([median(process) for process in rounds])


def log_ratios(case: Sequence[Rounds], other: Sequence[Rounds]) -> Logs:
    """Return the logarithm of the ratio of two cases in each pair of processes that ran at the same time."""
    if len(case) != len(other):
        raise ValueError(f"{len(case)} and {len(other)} processes did not run in pairs")
    logs: Logs = logs_of(case) - logs_of(other)
    return logs


def spread_of(logs: Logs, weight: float = 1.0) -> Spread | None:
    """Return how far logarithms scatter about their mean; None of fewer than two."""
    return Spread(float(logs.std(ddof=1)), logs.size - 1, weight) if logs.size > 1 else None


def spread_of_equal(logs: Logs) -> Spread:
    """Return how far those of equal cases scatter, whose true mean is known: 0."""
    return Spread(float(np.sqrt(np.mean(np.square(logs)))), logs.size)
