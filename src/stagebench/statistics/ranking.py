"""Which of several cases is the fastest, and how the others compare with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from stagebench.case import Case
from stagebench.run.aa_copy import is_aa_copy
from stagebench.run.sample import Measurement
from stagebench.statistics.ratio import Ratio, Rounds, paired_ratio

Timings = Mapping[Case, Sequence[Rounds]]
"""Of each case the seconds of every round, by process."""


def fastest(timings: Timings) -> Case:
    """Return the case with the smallest geometric mean of its processes' medians."""
    return min(timings, key=lambda case: np.mean(np.log([median(process) for process in timings[case]])))


def ratios_to_fastest(timings: Timings) -> dict[Case, Ratio]:
    """Return the ratio of every other case of a group to the fastest."""
    first = fastest(timings)
    return {case: paired_ratio(rounds, timings[first]) for case, rounds in timings.items() if case != first}


def widest(timings: Timings) -> float:
    """Return the widest half of an interval among the ratios to the fastest, as a share."""
    return max(ratio.half_width for ratio in ratios_to_fastest(timings).values())


def width_of(measurements: Mapping[Case, Measurement]) -> float:
    """Return the widest interval among the user's cases; of one that has an A/A copy alone, that with it."""
    of_user = {case: result for case, result in measurements.items() if not is_aa_copy(case)}
    compared = of_user if len(of_user) > 1 else measurements
    return widest({case: result.seconds for case, result in compared.items()})


def log_ratios(case: Sequence[Rounds], copy: Sequence[Rounds]) -> list[float]:
    """Return the logarithm of the ratio of two cases in each pair of processes that ran at the same time."""
    return [float(np.log(median(a) / median(b))) for a, b in zip(case, copy, strict=True)]
