"""The cases of a group against the fastest of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stagebench.analysis.ratio import Ratio, Rounds, paired_ratio
from stagebench.case import Case
from stagebench.measurement.sample import Measurement


def rounds_of(measurement: Measurement) -> list[Rounds]:
    """Return the seconds of every round, by process."""
    return [[sample.seconds for sample in process.rounds] for process in measurement.processes]


def fastest(measurements: Mapping[Case, Measurement]) -> Case:
    """Return the case with the smallest geometric mean of its processes' medians."""
    return min(
        measurements,
        key=lambda case: np.mean(np.log([p.median_seconds for p in measurements[case].processes])),
    )


def ratios_to_fastest(measurements: Mapping[Case, Measurement]) -> dict[Case, Ratio]:
    """Return the ratio of every other case of a group to the fastest."""
    first = fastest(measurements)
    return {
        case: paired_ratio(rounds_of(measurement), rounds_of(measurements[first]))
        for case, measurement in measurements.items()
        if case != first
    }


def widest(measurements: Mapping[Case, Measurement]) -> float:
    """Return the widest half of an interval among the ratios to the fastest, as a share."""
    return max(ratio.half_width for ratio in ratios_to_fastest(measurements).values())


def log_ratios(case: Measurement, twin: Measurement) -> list[float]:
    """Return the logarithm of the ratio of two cases in each pair of processes that ran at the same time."""
    pairs = zip(case.processes, twin.processes, strict=True)
    return [float(np.log(a.median_seconds / b.median_seconds)) for a, b in pairs]
