"""Quantiles of Student's t, and exponentials that stay finite."""

from __future__ import annotations

from math import exp

LARGEST_LOG = 700.0
"""The largest logarithm whose exponential a float holds."""


def quantile_of_t(freedom: float, probability: float) -> float:
    """Return what a variable of Student's t, with `freedom` degrees of freedom, stays below so often."""
    from scipy.special import stdtrit  # 0.3 s: most sessions start without a need of it

    return float(stdtrit(freedom, probability))


def exponential(log: float) -> float:
    """Return a ratio from its logarithm, finite and above 0 whatever it is."""
    return exp(min(max(log, -LARGEST_LOG), LARGEST_LOG))
