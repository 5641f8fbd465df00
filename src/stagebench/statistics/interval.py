"""The 95% interval of a mean, by Student's t."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interval_of_mean(logs: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95% interval of a geometric mean, from the logarithms; None of fewer than two."""
    if logs.size < 2:
        return None
    half = quantile_of_t(logs.size - 1, 0.975) * logs.std(ddof=1) / logs.size**0.5
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def quantile_of_t(freedom: float, probability: float) -> float:
    """Return what a variable of Student's t, with `freedom` degrees of freedom, stays below so often."""
    from scipy.special import stdtrit  # 0.3 s: most sessions start without a need of it

    return float(stdtrit(freedom, probability))
