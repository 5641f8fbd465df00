"""Where a series of runs changes its level for good: a change-point test, without a threshold on the size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MINIMUM_SIDE = 4
"""Values on either side of a step. Two or three nights of a busy neighbour make as many slow runs in a row;
and a level of fewer values is hardly known."""
MINIMUM_VALUES = 10
"""Values below which no order of them is as rare as 1%: of 9, the four largest are at one end of the series
in 2 / (9 over 4) = 1.6% of all orders."""
FALSE_ALARMS = 0.01
"""Among the series in which a step is found, the expected share of those that have none. Where no series has
one, it is the probability of finding any."""
OUTLIER = 3.0
"""Standard deviations from the median beyond which a value counts as if it were so far away, not further."""
ORDERS = (1_000, 10_000, 89_000)
"""Random orders that p-values are counted from, in parts: none is below 0.00001."""
ENOUGH = 20
"""Orders that look as much like a step, after which no further part is tried."""
AT_ONCE = 2_000_000
"""Values that are permuted in one go, so that long series need little memory."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ChangePoint:
    """A change of level."""

    at: int
    """Index of the first value of the new level."""
    ratio: float
    """New level divided by the old one: median of the ratios of every value after to every one before, as far
    as the next step (Hodges and Lehmann's estimate, which outliers hardly move)."""
    p: float
    """How often values in random order look as much like a step."""


def find_change_points(series: Sequence[Sequence[float]]) -> list[list[ChangePoint] | None]:
    """Return the steps of each series; None for one of fewer than `MINIMUM_VALUES` values.

    Values are logarithms of times, one for each run, in order. A run is one value however many processes it
    had: its processes ran within minutes of each other, and what differs from one day to the next is not seen
    among them. So the noise is taken from the series itself, and no spread within a run is used.

    At every place that leaves `MINIMUM_SIDE` values on both sides, the mean of the values before is compared
    with that of those after, in its standard deviations; the largest of these is the statistic (CUSUM; Page,
    Biometrika 42, 1955). Its p-value is counted over random orders of the values, as in E-divisive (Matteson
    and James, Journal of the American Statistical Association 109, 2014), so that it supposes nothing of how
    times are distributed. An outlier, drawn in to `OUTLIER`, cannot hide a step. What it does suppose is that
    runs of a steady series could have come in any order: a machine that drifts slowly has steps by this test.

    Many series are tested at once. Benjamini and Hochberg's rule (Journal of the Royal Statistical Society B
    57, 1995) sets how small a p-value must be, so that of the series said to have a step only a share of
    `FALSE_ALARMS` is expected to have none. In those the parts before and after the step are searched in
    turn, at the same p-value (binary segmentation: Vostrikova, Soviet Mathematics Doklady 24, 1981). A step
    that is taken back after a few runs is hard to find that way.
    """
    arrays = [np.asarray(values, float) for values in series]
    splits = [_best_split(values) if len(values) >= MINIMUM_VALUES else None for values in arrays]
    level = _level([split.p for split in splits if split])
    return [split and _steps(values, split, level) for values, split in zip(arrays, splits, strict=True)]


def _level(p_values: Sequence[float]) -> float:
    """Return the largest p-value that Benjamini and Hochberg's rule lets pass; 0 where there is none."""
    ordered = sorted(p_values)
    return max((p for n, p in enumerate(ordered, 1) if p <= FALSE_ALARMS * n / len(ordered)), default=0.0)


def _steps(values: Values, split: _Split, level: float) -> list[ChangePoint]:
    found = sorted(_places(values, split, level))
    bounds = [0, *(place for place, _ in found), len(values)]
    return [
        ChangePoint(
            place, float(np.exp(np.median(np.subtract.outer(values[place:after], values[before:place])))), p
        )
        for (place, p), before, after in zip(found, bounds, bounds[2:], strict=False)
    ]


def _places(values: Values, split: _Split, level: float, offset: int = 0) -> list[_Split]:
    """Return every step, in any order, of values that begin at `offset` and are best split as given."""
    if split.p > level:
        return []
    found = [_Split(offset + split.place, split.p)]
    for part, start in ((values[: split.place], offset), (values[split.place :], offset + split.place)):
        if len(part) >= MINIMUM_VALUES:
            found += _places(part, _best_split(part), level, start)
    return found


class _Split(NamedTuple):
    place: int
    p: float


def _best_split(values: Values) -> _Split:
    """Return where a series is most likely to have a step, and the p-value of there being one."""
    drawn_in = _without_outliers(values)
    scores = _scores(drawn_in)
    reached = scores.max() * (1 - 1e-9)  # the same values in another order, but for rounding
    generator = np.random.default_rng(len(values))
    larger = tried = 0
    for orders in ORDERS:
        by_chance = _largest_by_chance(drawn_in, orders, generator)
        larger += int(np.count_nonzero(by_chance >= reached))
        tried += orders
        if larger >= ENOUGH:
            break
    return _Split(int(scores.argmax()) + MINIMUM_SIDE, (1 + larger) / (1 + tried))


def _without_outliers(values: Values) -> Values:
    """Return deviations from the median, those beyond `OUTLIER` standard deviations drawn in to there."""
    deviations = values - np.median(values)
    limit = OUTLIER * 1.4826 * float(np.median(np.abs(deviations)))  # from the median of them, if normal
    return np.clip(deviations, -limit, limit) if limit else deviations


def _scores(values: Values) -> Values:
    """Return how far the means before and after each place are apart, in a unit that all orders share.

    Args:
        values: [..., values].

    Returns:
        [..., places], from `MINIMUM_SIDE` on.

    """
    count = values.shape[-1]
    before = np.arange(MINIMUM_SIDE, count - MINIMUM_SIDE + 1)
    sums = np.cumsum(values, axis=-1)
    excess = sums[..., before - 1] - before / count * sums[..., -1:]
    scores: Values = np.abs(excess) / np.sqrt(before * (count - before))
    return scores


def _largest_by_chance(values: Values, orders: int, generator: np.random.Generator) -> Values:
    """Return the largest score of each of so many random orders."""
    rows = max(1, AT_ONCE // len(values))
    sizes = [min(rows, orders - start) for start in range(0, orders, rows)]
    shuffled = (generator.permuted(np.tile(values, (size, 1)), axis=1) for size in sizes)
    return np.concatenate([_scores(some).max(axis=1) for some in shuffled])
