"""Known costs: how long a simulated stage takes, by its true time, its noise and the machine's drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sin

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

    def process(self, generator: np.random.Generator) -> Callable[[float], float]:
        """Return a fresh process: a function from the time of day, in seconds, to what a round takes then."""
        offset = generator.normal(0.0, self.process_noise)

        def round_seconds(now: float) -> float:
            drift = self.drift * sin(2 * pi * now / self.period)
            return self.seconds * exp(offset + drift + generator.normal(0.0, self.round_noise))

        return round_seconds
