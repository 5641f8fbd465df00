"""What the change-point test promises, on simulated series whose steps are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebench.statistics.change_points import FALSE_ALARMS, MINIMUM_SIDE, MINIMUM_VALUES, find_change_points

SERIES = 300
NOISE = 0.03
NOISES = {
    "normal": lambda generator, size: generator.normal(0, NOISE, size),
    "heavy tails": lambda generator, size: NOISE * generator.standard_t(2, size),
    "spikes": lambda generator, size: (
        generator.normal(0, NOISE, size) + 10 * NOISE * (generator.random(size) < 0.05)
    ),
}


def steady(count: int, runs: int, kind: str = "normal", seed: int = 0) -> np.ndarray:
    """Return so many series without a step: [series, runs]."""
    return NOISES[kind](np.random.default_rng(seed), (count, runs))


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("runs", [12, 30])
def test_one_steady_series_in_a_hundred_has_a_step(kind, runs):
    alarms = sum(bool(find_change_points([values])[0]) for values in steady(SERIES, runs, kind))
    # of 300 at 1%, more than 9 are as rare as 1 in 1,000
    assert alarms <= 9, f"{alarms} of {SERIES} steady series have a step"


def test_false_alarms_are_as_many_as_the_rate_says(monkeypatch):
    monkeypatch.setattr("stagebench.statistics.change_points.FALSE_ALARMS", 0.1)
    alarms = sum(bool(find_change_points([values])[0]) for values in steady(SERIES, 30))
    assert 15 <= alarms <= 46, f"{alarms} of {SERIES}, and not about 30"  # 3 standard deviations


@pytest.mark.parametrize("kind", NOISES)
def test_a_page_of_300_steady_series_has_no_step(kind):
    assert not any(find_change_points(steady(SERIES, 30, kind)))


@pytest.mark.parametrize(
    "at", [15, *(pytest.param(at, marks=pytest.mark.nightly("another place")) for at in (8, 22))]
)
@pytest.mark.parametrize("sigmas", [-5, 5])
def test_a_step_of_several_sigma_is_found_within_one_place(at, sigmas):
    for seed in range(20):
        series = steady(12, 30, seed=seed)
        series[3, at:] += sigmas * NOISE
        steps = find_change_points(series)
        assert [number for number, found in enumerate(steps) if found] == [3], f"seed {seed}"
        (step,) = steps[3]
        assert abs(step.at - at) <= 1, f"seed {seed}"
        assert step.ratio == pytest.approx(np.exp(sigmas * NOISE), rel=NOISE)
        assert step.p <= FALSE_ALARMS / 12


def test_two_steps_are_found_each_with_its_own_size():
    (values,) = steady(1, 45)
    values[15:] += 0.3
    values[30:] += 0.2
    ((first, second),) = find_change_points([values])
    assert (first.at, second.at) == (15, 30)
    assert first.ratio == pytest.approx(np.exp(0.3), rel=NOISE)
    assert second.ratio == pytest.approx(np.exp(0.2), rel=NOISE)


def test_a_single_slow_run_is_no_step_and_hides_none():
    (values,) = steady(1, 30)
    values[4] += 3  # 20 times as long
    assert find_change_points([values]) == [[]]
    values[18:] += 6 * NOISE
    ((step,),) = find_change_points([values])
    assert abs(step.at - 18) <= 1


@given(st.integers(0, MINIMUM_VALUES - 1))
def test_too_few_points_say_nothing_whatever_their_step(count):
    assert find_change_points([np.arange(count) // (count / 2 + 1) * 100.0]) == [None]


def test_a_step_has_enough_points_on_either_side():
    for at in range(MINIMUM_SIDE):
        (values,) = steady(1, 30, seed=at)
        values[30 - at :] += 50 * NOISE
        for step in find_change_points([values])[0]:
            assert MINIMUM_SIDE <= step.at <= 30 - MINIMUM_SIDE


@given(st.lists(st.floats(-30, 30), max_size=30))
def test_any_series_can_be_searched_and_the_answer_is_the_same_every_time(values):
    (found,) = find_change_points([values])
    assert (found is None) == (len(values) < MINIMUM_VALUES)
    assert find_change_points([values]) == [found]


def test_a_series_of_one_value_has_no_step():
    assert find_change_points([[1.5] * 30]) == [[]]
