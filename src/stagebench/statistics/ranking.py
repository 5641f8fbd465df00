"""Which of several cases is the fastest, and how the others compare with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stagebench.case import Case
from stagebench.run.aa_copy import is_aa_copy
from stagebench.run.sample import Measurement
from stagebench.statistics.prior import Prior, unknown
from stagebench.statistics.ratio import Ratio, paired_ratio
from stagebench.statistics.spread import Rounds, Spread, log_ratios, logs_of, spread_of

Timings = Mapping[Case, Sequence[Rounds]]
"""Of each case the seconds of every round, by process."""
KinOf = Callable[[Case, Case], Sequence[Spread]]
"""Returns what spreads of two cases' ratio were seen in earlier runs."""


def fastest(timings: Timings) -> Case:
    """Return the case with the smallest geometric mean of its processes' medians."""
    return min(timings, key=lambda case: logs_of(timings[case]).mean())


def spreads_to_fastest(timings: Timings) -> dict[Case, Spread]:
    """Return how far the ratio of every other case to the fastest scatters; nothing of one process.

    As they share the fastest, those of k cases count together as if k / 2 pairs had been measured.
    """
    first = fastest(timings)
    others = [case for case in timings if case != first]
    weight = len(timings) / 2 / max(1, len(others))
    found = {case: spread_of(log_ratios(timings[case], timings[first]), weight) for case in others}
    return {case: spread for case, spread in found.items() if spread}


def ratios_to_fastest(
    timings: Timings, prior: Prior | None = None, kin: KinOf = lambda *_: ()
) -> dict[Case, Ratio]:
    """Return the ratio of every other case of a group to the fastest.

    Args:
        timings: of the group.
        prior: what other groups tell of its spreads.
        kin: what is known of those of its cases besides.

    """
    first, spreads = fastest(timings), spreads_to_fastest(timings)
    ratios = {}
    for case in (case for case in timings if case != first):
        of_group = [spread for other, spread in spreads.items() if other != case]
        known = (prior or unknown()).joined([*of_group, *kin(case, first)])
        ratio = paired_ratio(timings[case], timings[first], known)
        ratios[case] = replace(ratio, cases=len(timings))
    close = 1 + sum(ratio.interval[0] <= 1 for ratio in ratios.values())
    return {case: replace(ratio, close=close) for case, ratio in ratios.items()}


def widest(timings: Timings) -> float:
    """Return the widest half of an interval among the ratios to the fastest, as a share."""
    return max(ratio.half_width for ratio in ratios_to_fastest(timings).values())


def width_of(measurements: Mapping[Case, Measurement]) -> float:
    """Return the widest interval among the user's cases; of one that has an A/A copy alone, that with it."""
    of_user = {case: result for case, result in measurements.items() if not is_aa_copy(case)}
    compared = of_user if len(of_user) > 1 else measurements
    return widest({case: result.seconds for case, result in compared.items()})
