"""What is known of one case at one stage once it is measured: all that analysis and reports start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from stagebench.case import Case
from stagebench.results.info import Info
from stagebench.statistics.ratio import interval_of
from stagebench.statistics.spread import Rounds


@dataclass(frozen=True)
class Result:
    """A case that was measured at a stage, and passed its checks."""

    stage: str
    case: Case
    rounds: Sequence[Rounds]
    """Seconds of every round, by process."""
    info: Info

    @cached_property
    def median_seconds(self) -> float:
        """Median over the rounds of all processes."""
        return median(seconds for process in self.rounds for seconds in process)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95% interval of the time in seconds; see `ratio.interval_of`."""
        return interval_of(self.rounds)

    @property
    def images_per_second_interval(self) -> tuple[float, float] | None:
        if not self.images:
            return None
        low, high = self.interval
        return self.images / high, self.images / low

    @property
    def cold_seconds(self) -> float:
        """Median of the processes' first executions."""
        return self.info.cold_seconds

    @property
    def images(self) -> int | None:
        """Images that one round saw; None where the stage sees none."""
        return self.info.images

    @property
    def images_per_second(self) -> float | None:
        return self.images / self.median_seconds if self.images else None

    @property
    def peak_fraction(self) -> float | None:
        """Share of the machine's peak: the time at best divided by the median; None: not known."""
        limit = self.info.limit_seconds
        return limit / self.median_seconds if limit else None
