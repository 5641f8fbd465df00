"""The axis `loop`: a training loop of one's own in TensorFlow does what `fit` does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gate
from pair import open_pipeline as open_in
from patches import IN_ORDER, TENSORFLOW, patched
from stagebench.case import Case
from stagebench.run.environments import Environment

LONG = pytest.mark.nightly("three steps show whether BatchNorm is trained")


@pytest.fixture
def tensorflow(both):
    """TensorFlow alone, in each recipe that promises equal work."""
    return replace(both, workers={"tensorflow": both.workers["tensorflow"]})


def takes_the_inspected_steps(pair, changes=None):
    """Fifty steps in float64 have the losses and end in the weights of the inspected arithmetic."""
    weights, batches = gate.random_weights(pair, "float64"), gate.random_batches(pair, "float64", pair.steps)
    (inspector,) = pair.inspectors("float64")
    losses, expected = inspector.train(weights, batches, "sgd", 0.01)
    with patched(pair.workers["tensorflow"], changes or {}):
        own_losses, found = inspector.train(weights, batches, "sgd", 0.01, 1, "custom")

    worst = gate.close("losses", np.array(own_losses), np.array(losses), 1e-10)
    return max(worst, *(gate.close(name, found[name], value, 1e-10) for name, value in expected.items()))


@pytest.mark.parametrize(
    ("network", "steps"), [("mlp", 50), ("article", 3), pytest.param("article", 50, marks=LONG)]
)
def test_a_loop_of_ones_own_takes_the_inspected_steps(tensorflow, network, steps):
    print(takes_the_inspected_steps(replace(tensorflow, network=network, steps=steps)))  # noqa: T201


INFERENCE = {
    f"{TENSORFLOW}.training:keras.Sequential.__call__": "lambda self, *a, **k: "
    "original(self, *a, **{**k, 'training': False})"
}


def test_a_loop_that_forgets_the_training_mode_is_caught(tensorflow):
    with pytest.raises(AssertionError, match="losses differ"):
        takes_the_inspected_steps(replace(tensorflow, steps=3), INFERENCE)


SETTINGS = [
    {},
    {"execution": "eager"},
    {"schedule": "one_cycle", "precision": "bfloat16"},
    {"schedule": "one_cycle_step", "accumulate": 3},
]
SLOW = [
    {"execution": "compiled"},
    {"execution": "compiled", "schedule": "one_cycle_step", "accumulate": 3},
    {"execution": "eager", "schedule": "one_cycle_step", "accumulate": 3},
]


@pytest.mark.parametrize(
    "axes",
    [*SETTINGS, *(pytest.param(axes, marks=pytest.mark.nightly("XLA compiles for 10 s")) for axes in SLOW)],
    ids=lambda axes: "-".join(map(str, axes.values())),
)
def test_a_loop_of_ones_own_reports_what_fit_reports_on_the_same_batches(tensorflow, small_dataset, axes):
    worker = tensorflow.workers["tensorflow"]
    reports = []
    with patched(worker, IN_ORDER["tensorflow"]):
        for loop in ("default", "custom"):
            common = {"recipe": tensorflow.recipe, "network": "mlp", "cache": "on", "loop": loop}
            pipeline = open_in(worker, "tensorflow", small_dataset, {}, **common, **axes)
            pipeline.build_model()
            start = pipeline.weights()
            pipeline.train(1)
            pipeline.set_weights(start)  # nothing of the round before is left
            reports.append([*pipeline.train(2), pipeline.watch_training()["epoch"]])

    bound = 1e-4 if axes.get("precision") is None else 2e-2
    for report, expected in zip(reports[1], reports[0], strict=True):
        assert report["images"] == expected["images"] == 230
        assert report["loss"] == pytest.approx(expected["loss"], rel=bound)
        assert report["accuracy"] == pytest.approx(expected["accuracy"], abs=1.5 / 230)
    assert reports[1][-1]["loss"] < reports[1][0]["loss"]


def test_torch_whose_default_loop_is_ones_own_has_no_other():
    case = Case("torch", "torch", loop="custom")

    assert "--loop=custom is not implemented for PyTorch" in (Environment("torch", "torch").lacks(case) or "")
