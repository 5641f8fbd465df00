"""Student's t distribution."""

from __future__ import annotations


def quantile_of_t(freedom: float, probability: float) -> float:
    """Return what a variable of Student's t, with `freedom` degrees of freedom, stays below so often."""
    from scipy.special import stdtrit  # 0.3 s: most sessions start without a need of it

    return float(stdtrit(freedom, probability))
