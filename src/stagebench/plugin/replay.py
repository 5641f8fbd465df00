"""Hands measured durations to pytest-benchmark, through its public `timer`, unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_benchmark.fixture import BenchmarkFixture

_now = 0.0


def recorded_seconds() -> float:
    """Give the `timer` of every stage test: it stands at 0 before a round, and at its duration after it."""
    return _now


def replay(benchmark: BenchmarkFixture, durations: Sequence[float]) -> None:
    """Record one round for each duration, in seconds."""
    remaining = iter(durations)

    def set_clock(seconds: float) -> None:
        global _now
        _now = seconds

    benchmark.pedantic(
        lambda: set_clock(next(remaining, 0.0)), setup=lambda: set_clock(0.0), rounds=max(1, len(durations))
    )
