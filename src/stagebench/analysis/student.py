"""Student's t distribution."""

from __future__ import annotations


def quantile_of_t(freedom: float, probability: float) -> float:
    """Return what a variable of Student's t, with so many degrees of freedom, exceeds in 1 - `probability`."""
    from scipy.special import stdtrit  # 0.3 s: most sessions start without a need of it

    return float(stdtrit(freedom, probability))
