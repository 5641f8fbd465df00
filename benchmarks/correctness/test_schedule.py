"""The axis `schedule`: both frameworks train at the same learning rates, to the last digit of float32."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pair import OF_SETTINGS
from pair import open_pipeline as open_in
from patches import TENSORFLOW, TORCH, patched
from stagebench.case import Case
from stagebench.case.training import one_cycle, updates
from stagebench.frameworks.contract import UnavailableError

MAXIMUM = 0.001
IMAGES, BATCHES = 230, 8  # of 32 images; the last one has 6
USED = {
    "torch": {
        f"{TORCH}.training:Adam.step": "lambda self, *a, **k: (self.defaults.setdefault('used', [])"
        ".append(self.param_groups[0]['lr']), original(self, *a, **k))[1]",
        f"{TORCH}.pipeline:Pipeline.trainable_weights": "lambda self: self.optimizer.defaults['used']",
    },
    "tensorflow": {
        f"{TENSORFLOW}.training:keras.optimizers.Adam.update_step": "lambda self, gradient, variable, rate, "
        "used=[]: (tf.py_function(lambda rate: used.append(float(rate)), [tf.convert_to_tensor(rate)], []), "
        "original(self, gradient, variable, rate))[1]",
        f"{TENSORFLOW}.pipeline:Pipeline.trainable_weights": "lambda self: "
        "keras.optimizers.Adam.update_step.__defaults__[0]",
    },
}
"""What lets the optimiser note each learning rate that it uses, and `trainable_weights` return them."""


def rates_are_the_schedules(
    worker, framework, dataset, schedule, accumulate=1, recipe="matched", mutant=None
):
    """Train three times: fresh, fresh again, and on from there as the watched epoch does."""
    axes = {"network": "mlp", "cache": "on", "recipe": recipe, "schedule": schedule, "accumulate": accumulate}
    case = Case(framework, framework, **axes)
    with patched(worker, USED[framework] | (mutant or {})):
        pipeline = open_in(worker, framework, dataset, {"learning_rate": MAXIMUM}, **axes)
        pipeline.build_model()
        start, expected, waiting = pipeline.weights(), [], 0
        for epochs in (4, 4, 1):
            if epochs > 1:
                pipeline.set_weights(start)
                waiting = 0
            pipeline.train(epochs)
            made, waiting = divmod(waiting + epochs * BATCHES, accumulate)
            if schedule == "one_cycle":
                expected += [one_cycle(epoch, epochs) for epoch in range(epochs)]
            else:
                steps = updates(case, IMAGES, epochs)
                expected += [one_cycle(step, steps) for step in range(made)]
        used = pipeline.trainable_weights()

    # Keras calls its optimiser once for each variable; neighbours in the schedule differ.
    assert [rate for rate, _ in groupby(np.float32(used))] == [*np.float32(MAXIMUM * np.array(expected))]


def test_four_epochs_have_the_rates_that_the_write_up_prints():
    rates = [str(np.float32(0.001 * one_cycle(epoch, 4))) for epoch in range(4)]

    assert rates == ["0.0005", "0.00096650637", "0.0008744966", "0.0005220387"]


@given(st.integers(1, 2000))
def test_rates_rise_from_a_half_to_the_whole_and_fall_to_a_third(steps):
    rates = [one_cycle(step, steps) for step in range(steps + 1)]
    rising = [rate for step, rate in enumerate(rates) if step / steps < 0.3]
    falling = rates[len(rising) :]

    assert rates[0] == 0.5
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert one_cycle(3, 10) == max(1.0, *rates)
    assert rates[-1] == one_cycle(steps + 1, steps) == pytest.approx(1 / 3, rel=1e-15)


@pytest.mark.parametrize("recipe", OF_SETTINGS)
@pytest.mark.parametrize("schedule", ["one_cycle", "one_cycle_step"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_optimiser_uses_the_rates_of_the_schedule(
    process_of, small_dataset, framework, recipe, schedule, accumulate
):
    rates_are_the_schedules(process_of(framework), framework, small_dataset, schedule, accumulate, recipe)


OFF_BY_ONE = "lambda step, steps: original(step + 1, steps)"
MUTANTS = [
    ("torch", "one_cycle", {f"{TORCH}.pipeline:one_cycle": OFF_BY_ONE}),
    ("torch", "one_cycle_step", {f"{TORCH}.pipeline:one_cycle": OFF_BY_ONE}),
    ("tensorflow", "one_cycle", {f"{TENSORFLOW}.pipeline:one_cycle": OFF_BY_ONE}),
    ("tensorflow", "one_cycle_step", {f"{TENSORFLOW}.pipeline:one_cycle": OFF_BY_ONE}),
    (
        "tensorflow",
        "one_cycle_step",
        {
            f"{TENSORFLOW}.schedule:TabulatedSchedule.begin": "lambda self, rates, optimizer: "
            "self.rates.assign(rates)"
        },
    ),
]


@pytest.mark.parametrize(("name", "schedule", "mutant"), MUTANTS)
def test_a_schedule_that_is_off_by_a_step_or_does_not_begin_anew_is_caught(
    pair, small_dataset, name, schedule, mutant
):
    with pytest.raises(AssertionError):
        rates_are_the_schedules(pair.workers[name], name, small_dataset, schedule, mutant=mutant)


def test_a_model_trained_on_a_schedule_by_updates_is_saved_loaded_and_trained_on(
    open_pipeline, framework, model_file
):
    pipeline = open_pipeline(network="mlp", schedule="one_cycle_step")
    pipeline.build_model()
    (first,) = pipeline.train(1)
    pipeline.save_model(model_file(framework))
    pipeline.load_model(model_file(framework))
    (second,) = pipeline.train(1)

    assert second["loss"] < first["loss"]


@pytest.mark.nightly("torch compiles for half a minute")
def test_a_rate_that_changes_with_every_update_compiles_nothing_anew_in_torch(pair, small_dataset):
    counted = "lambda self: torch._dynamo.utils.counters['stats']['unique_graphs']"
    axes = {"network": "mlp", "schedule": "one_cycle_step", "execution": "compiled", "recipe": "tuned"}
    worker = pair.workers["torch"]
    with patched(worker, {f"{TORCH}.pipeline:Pipeline.trainable_weights": counted}):
        pipeline = open_in(worker, "torch", small_dataset, {}, **axes)
        pipeline.build_model()
        pipeline.train(1)
        compiled = pipeline.trainable_weights()
        pipeline.train(2)

        assert pipeline.trainable_weights() == compiled > 0


REFUSED = [
    ({"recipe": "published", "schedule": "one_cycle"}, "not with --schedule=one_cycle"),
    ({"recipe": "published", "normalize": "half"}, "not with --normalize=half"),
    ({"recipe": "published", "accumulate": 2, "logging": "tensorboard"}, "--accumulate=2 and --logging"),
    ({"precision": "float16", "accumulate": 2}, "float16 leaves out gradients that overflow"),
    ({"precision": "float16", "schedule": "one_cycle_step"}, "float16 leaves out gradients that overflow"),
]


@pytest.mark.parametrize(("axes", "reason"), REFUSED)
def test_settings_that_cannot_be_together_are_refused_in_a_sentence(open_pipeline, axes, reason):
    with pytest.raises(UnavailableError, match=reason):
        open_pipeline(**axes)
