"""How much longer one case takes than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log

from stagebench.statistics.prior import Prior, unknown
from stagebench.statistics.spread import Logs, Rounds, Spread, log_ratios, logs_of, spread_of
from stagebench.statistics.student import exponential, quantile_of_t

ALARMS_PER_LOOK = 0.0015
"""How often two equal cases differ by more than the floor. A group is looked at up to five times, each time
with more processes (`stopping.LOOKS`); together these raise no more than 1% of alarms (README.md)."""
ALARMS_OF_RUNS = 0.01
"""The same of two runs, which are compared once."""
DRIFT = Prior(0.05, 4.0)
"""The machine's drift where nothing is known: what the ratio of a case's times in two runs scatters by."""
LEAST_DRIFT = 0.01
"""However little the times of earlier runs were apart, so much is taken for drift."""


@dataclass(frozen=True)
class Ratio:
    """The time of one case divided by that of another: above 1 is slower."""

    estimate: float
    """Geometric mean of the processes' ratios."""
    spread: float
    """What the logarithm of a single process's ratio is taken to scatter by; see `prior.Prior.moderate`."""
    freedom: float
    """Degrees of freedom with which that is known."""
    processes: int
    drift: float = 0.0
    """Standard deviation that no number of processes makes smaller: what drifts between two runs."""
    close: int = 2
    """Cases that may be the fastest, where the other case is the fastest of several: it was in luck."""
    cases: int = 2
    """How many cases were compared with each other."""
    alarms: float = ALARMS_PER_LOOK
    """How often equal cases, so many of them, may differ by more than the floor."""

    @property
    def error(self) -> float:
        """Standard error of the logarithm of the estimate."""
        return float((self.spread**2 / self.processes + self.drift**2) ** 0.5)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95%; of one to the fastest of several that are close to each other, 1 - 5% * 2 / their number."""
        half = quantile_of_t(self.freedom, 1 - 0.05 / max(2, self.close)) * self.error
        return exponential(log(self.estimate) - half), exponential(log(self.estimate) + half)

    @cached_property
    def half_width(self) -> float:
        """How far the interval reaches on either side, as a share: 0.02 is +-2%."""
        low, high = self.interval
        return float((high / low) ** 0.5) - 1

    @cached_property
    def floor(self) -> float:
        """The difference below which equal cases stay but for `alarms`, as a share."""
        pairs = self.cases * (self.cases - 1) / 2
        return exponential(quantile_of_t(self.freedom, 1 - self.alarms / 2 / pairs) * self.error) - 1

    def after(self, processes: int) -> Ratio:
        """Return what it would be with so many processes, if estimate and spread stayed as they are."""
        return replace(self, processes=processes, freedom=self.freedom + processes - self.processes)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{digits(self.estimate)} ({digits(low)} to {digits(high)})"


def paired_ratio(case: Sequence[Rounds], other: Sequence[Rounds], prior: Prior | None = None) -> Ratio:
    """Return the ratio of a case to another that was measured interleaved with it.

    Each process counts once, by the median of its rounds; a drift of the machine hits both of a pair alike.

    Args:
        case: seconds of every round, by process; process `i` of both ran at the same time.
        other: the same of the other case, with as many processes. Numbers of rounds may differ.
        prior: what is known of the spread; where nothing is given, what is known of no machine.

    """
    logs = log_ratios(case, other)
    spread = (prior or unknown()).moderate(spread_of(logs))
    return Ratio(exponential(logs.mean()), spread.value, spread.freedom, logs.size)


def independent_ratio(
    case: Sequence[Rounds],
    other: Sequence[Rounds],
    priors: Sequence[Prior] | None = None,
    drift: Prior = DRIFT,
) -> Ratio:
    """Return the ratio of a case to another that was measured at another time.

    Its variance is the sum of three: of both sides' means over their processes, and of the machine's drift
    from the one time to the other, which the two alone cannot tell from a difference. Degrees of freedom are
    Welch's and Satterthwaite's.

    Args:
        case: seconds of every round, by process.
        other: the same of the other case; numbers of processes and rounds may differ.
        priors: what is known of the spread of either side's own times.
        drift: what is known of that of the machine's speed.

    """
    sides = logs_of(case), logs_of(other)
    known = priors or (unknown(), unknown())
    processes = min(side.size for side in sides)
    spreads = [_mean_of(side, prior) for side, prior in zip(sides, known, strict=True)]
    variances = [one.value**2 for one in spreads]
    parts = [*spreads, Spread(drift.spread, drift.worth)]
    total = sum(one.value**2 for one in parts)
    freedom = total**2 / sum(one.value**4 / one.freedom for one in parts)
    estimate = exponential(sides[0].mean() - sides[1].mean())
    spread = (sum(variances) * processes) ** 0.5
    return Ratio(estimate, spread, freedom, processes, drift.spread, alarms=ALARMS_OF_RUNS)


def _mean_of(side: Logs, prior: Prior) -> Spread:
    """Return the standard error of a side's mean."""
    spread = prior.moderate(spread_of(side))
    return Spread(spread.value / side.size**0.5, spread.freedom)


def interval_of(rounds: Sequence[Rounds]) -> tuple[float, float]:
    """Return the 95% interval of a case's own time in seconds, by what is known of no machine.

    It says less than that of a ratio: a drift of the machine, which a ratio cancels, is in it.
    """
    logs = logs_of(rounds)
    spread = unknown().moderate(spread_of(logs))
    ratio = Ratio(exponential(logs.mean()), spread.value, spread.freedom, logs.size)
    return ratio.interval


def digits(value: float) -> str:
    """Write three significant digits, zeros at the end included."""
    return f"{value:#.3g}".rstrip(".")
