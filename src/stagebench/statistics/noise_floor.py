"""The noise floor: how large a difference this machine shows between two equal cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stagebench.statistics.interval import quantile_of_t

MINIMUM_PAIRS = 3
"""Pairs of processes below which there is no floor."""


def noise_floor(log_ratios: Sequence[float], processes: int, cases: int = 2) -> float | None:
    """Return the difference below which equal cases stay in 99 of 100 groups, as a share.

    A comparison over n processes has the mean of n pairs for its result. With the root mean square s of m
    measured pairs (their true mean is known: 0), it stays within t * s / sqrt(n), Student's t at 99% with m
    degrees of freedom. In a group of more cases there are more pairs to err in, and each may err less often.

    Args:
        log_ratios: of A/A pairs: logarithm of the ratio of two processes' medians.
        processes: of the comparison that is to be judged.
        cases: how many cases the group has.

    Returns:
        E.g. 0.04 for 4%; None where there are fewer than `MINIMUM_PAIRS`.

    """
    pairs = len(log_ratios)
    if pairs < MINIMUM_PAIRS:
        return None
    comparisons = max(1, cases * (cases - 1) // 2)
    spread = float(np.sqrt(np.mean(np.square(log_ratios))))
    return float(np.expm1(quantile_of_t(pairs, 1 - 0.005 / comparisons) * spread / processes**0.5))
