"""How much longer one case takes than another, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Ratio:
    """How much longer `published` takes than `matched`."""

    estimate: float
    """Geometric mean of the ratios of rounds that are neighbours in time."""
    interval: tuple[float, float] | None
    """95%; None where there is only one round."""

    def __str__(self) -> str:
        if self.interval is None:
            return _digits(self.estimate)
        low, high = self.interval
        return f"{_digits(self.estimate)} ({_digits(low)} to {_digits(high)})"


def paired_ratio(published: NDArray[np.float64], matched: NDArray[np.float64], processes: int = 1) -> Ratio:
    """Return the ratio of two cases that were measured in turns.

    Args:
        published: seconds [rounds] of all processes, in the order in which they were taken.
        matched: the same; round `i` of both was taken within moments.
        processes: fresh processes per case. Of several, each counts once: its rounds resemble each other.

    """
    logs = np.log(published / matched)
    if processes > 1:
        logs = logs.reshape(processes, -1).mean(axis=1)
    interval = None
    if logs.size > 1:
        half = stats.t.ppf(0.975, logs.size - 1) * logs.std(ddof=1) / logs.size**0.5
        interval = (float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half)))
    return Ratio(float(np.exp(logs.mean())), interval)


def _digits(value: float) -> str:
    """Write three significant digits, zeros at the end included."""
    return f"{value:#.3g}".rstrip(".")
