"""Known costs: how long a simulated stage takes, by its true time, its noise and the machine's drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sin
from time import sleep, thread_time

import numpy as np


@dataclass(frozen=True)
class Cost:
    """What a round takes. Noises are standard deviations of the logarithm of the time."""

    seconds: float = 0.0
    """Median, without drift."""
    process_noise: float = 0.0
    """From one fresh process to the next; all rounds of a process share it."""
    round_noise: float = 0.0
    drift: float = 0.0
    """How far the machine's speed swings up and down, as a logarithm; all cases share it."""
    period: float = 30.0
    """Seconds that a swing takes."""
    computing: float = 0.0
    """Share of the time that is computed and not slept; both come in turns."""
    turn: float = 0.01
    """Seconds of computing and sleeping together."""

    def process(self, generator: np.random.Generator) -> Callable[[float], float]:
        """Return a fresh process: a function from the time of day, in seconds, to what a round takes then."""
        offset = generator.normal(0.0, self.process_noise)

        def round_seconds(now: float) -> float:
            drift = self.drift * sin(2 * pi * now / self.period)
            return self.seconds * exp(offset + drift + generator.normal(0.0, self.round_noise))

        return round_seconds

    def spend(self, seconds: float) -> None:
        """Let so much time pass, as the cost says. What computes is counted in CPU time, as real work is."""
        turns = max(1, round(seconds / self.turn)) if self.computing else 1
        for _ in range(turns):
            until = thread_time() + seconds * self.computing / turns
            while self.computing and thread_time() < until:
                pass
            sleep(seconds * (1 - self.computing) / turns)
