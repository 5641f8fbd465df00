"""How far a machine drifts from run to run: what a case's times differ by beyond its processes' spread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stagebench.statistics.spread import Spread


@dataclass(frozen=True)
class Level:
    """What a case took in one run."""

    stage: str
    case: str
    log: float
    """Mean of the logarithms of its processes' medians."""
    error: float
    """Standard error of that."""


def drift_of(levels: Iterable[Level]) -> dict[str, Spread]:
    """Return by stage how far the ratio of a case's times in two runs scatters beyond their errors.

    Of each case that several runs have measured, the variance of its levels less that of their errors; of the
    cases of a stage the mean. They share the machine's speed, so that together they are worth no more degrees
    of freedom than the one with the most runs. A ratio of two runs has twice the variance of a level.
    """
    of_case: dict[tuple[str, str], list[Level]] = {}
    for level in levels:
        of_case.setdefault((level.stage, level.case), []).append(level)
    several = {key: found for key, found in of_case.items() if len(found) > 1}
    drifts = {}
    for stage in dict.fromkeys(stage for stage, _ in several):
        runs = [found for (of, _), found in several.items() if of == stage]
        scatter = [np.var([one.log for one in found], ddof=1) for found in runs]
        errors = [np.mean([one.error**2 for one in found]) for found in runs]
        variance = 2 * max(0.0, float(np.mean(scatter) - np.mean(errors)))
        drifts[stage] = Spread(variance**0.5, max(map(len, runs)) - 1)
    return drifts
