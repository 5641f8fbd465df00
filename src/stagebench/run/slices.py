"""Rounds that share every moment of the machine: in time slices, while all other processes stand still."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Any

from stagebench.frameworks.contract import UnavailableError
from stagebench.run.process import Patience, WorkerError, WorkerProcess

SLICE_SECONDS = 0.1
"""Own time of a process in a slice.

Shorter slices cost time (the other processes empty the caches), longer ones share fewer moments. Two
processes of one framework on two cores, each group in 72 rounds of six modes in turn: time in slices divided
by that in whole rounds (data loading uncached, training and evaluation also cached; 95% intervals),
and by how much the ratio of both processes scatters from round to round (training without a cache):

| slice | torch | scatter | TensorFlow | scatter |
|---|---|---|---|---|
| 10 ms | 1.06 +- 0.03 | 3.5% | 1.10 +- 0.02 | 2.5% |
| 20 ms | 1.02 +- 0.03 | 1.8% | 1.06 +- 0.03 | 2.3% |
| 50 ms | 1.02 +- 0.03 | 2.6% | 1.05 +- 0.03 | 3.0% |
| 100 ms | 1.01 +- 0.02 | 2.6% | 1.03 +- 0.03 | 2.9% |
| 200 ms | 1.02 +- 0.02 | 4.4% | 1.03 +- 0.03 | 3.5% |
| whole rounds | 1 | 6.9% | 1 | 8.9% |
"""
LOOK_AGAIN_SECONDS = 0.001
"""After which a process that was waiting for something is looked at again."""
WATCH_SECONDS = 0.025
"""After which a process that executes is looked at, to see how long it computes nothing."""
WAITING_SHARE = 0.1
"""Of one processor: with less, a process computes nothing. Threads that only wait wake up now and then."""


@dataclass
class Execution:
    """A round of one worker process, from its request to its answer."""

    worker: WorkerProcess
    expected_seconds: float
    """How long it takes, about: the processes of a group are to come to their ends together."""
    patience: Patience
    watched: bool = True
    """Whether to see when it computes nothing; not where loader processes compute for it."""
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """When the process stood still, on the system's monotonic clock."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When it computed nothing, though it could."""
    answer: Any = None
    error: WorkerError | UnavailableError | None = None
    _began: bool = False
    _paused_at: float | None = None

    @property
    def progress(self) -> float:
        """Share of the expected time that was spent."""
        return self.patience.waited / self.expected_seconds

    def advance(self, seconds: float) -> bool:
        """Let it execute so long; says whether it has come to its end."""
        try:
            if not self._began:
                self._began = True
                self.worker.send("execute")
            elif self._paused_at is not None:
                self.pauses.append((self._paused_at, perf_counter()))
                self._paused_at = None
                self.worker.resume()
            if not self._answers_within(seconds):
                return False
            self.answer = self.worker.receive(self.patience)
        except (WorkerError, UnavailableError) as error:
            self.error = error
        return True

    def pause(self) -> bool:
        """Stop it, once it is not waiting for something; says whether it has come to its end meanwhile."""
        try:
            while not self.worker.pause():
                since = perf_counter()
                if self.worker.answers_within(LOOK_AGAIN_SECONDS, self.patience):
                    self.answer = self.worker.receive(self.patience)
                    return True
                self.waits.append((since, perf_counter()))
        except (WorkerError, UnavailableError) as error:
            self.error = error
            return True
        self._paused_at = perf_counter()
        return False

    def _answers_within(self, seconds: float) -> bool:
        """Wait so long for the answer, and note when the process computes nothing."""
        end = self.patience.waited + seconds
        since, before = perf_counter(), self._cpu_clock()
        while not self.worker.answers_within(min(WATCH_SECONDS, end - self.patience.waited), self.patience):
            now, computed = perf_counter(), self._cpu_clock()
            if (
                computed is not None
                and before is not None
                and computed - before < WAITING_SHARE * (now - since)
            ):
                self.waits.append((since, now))
            if self.patience.waited >= end:
                return False
            since, before = now, computed
        return True

    def _cpu_clock(self) -> float | None:
        return self.worker.cpu_clock() if self.watched else None


def overlap(times: Iterable[tuple[float, float]], began: float, ended: float) -> float:
    """Return how many seconds of some times lie between two moments."""
    return sum(max(0.0, min(ended, to) - max(began, since)) for since, to in times)


def execute_in_slices(executions: Sequence[Execution]) -> None:
    """Execute one round of each, in turns of `SLICE_SECONDS`; a shorter one is executed in one go.

    The next slice is that of the process which is furthest behind, so that a round that takes three times as
    long has three times as many slices, and both are spread over the same moments.
    """
    left = list(executions)
    running: Execution | None = None
    while left:
        one = min(left, key=lambda execution: execution.progress)
        if running is not None and running is not one and running.pause():
            left.remove(running)
        running = one
        if one.advance(SLICE_SECONDS if len(left) > 1 else inf):
            left.remove(one)
            running = None
