"""Same seed, same run; another seed, another run."""

from __future__ import annotations

import numpy as np
import pytest

from stagebench.case import RECIPES

pytestmark = pytest.mark.gate


def run(pipeline):
    """Return everything random of a short training: batches, initial weights, losses, final weights."""
    batches = pipeline.batches("train")
    pipeline.build_model()
    initial = pipeline.weights()
    losses = [epoch["loss"] for epoch in pipeline.train(2)]
    return {
        "images": np.concatenate([images for images, _ in batches]),
        "labels": np.concatenate([labels for _, labels in batches]),
        "initial weights": np.concatenate([value.ravel() for value in initial.values()]),
        "losses": np.array(losses),
    }


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("cache", ["off", "on"])
def test_the_same_seed_gives_the_same_run(open_pipeline, cache, recipe):
    first = run(open_pipeline(augment="on", cache=cache, recipe=recipe))
    second = run(open_pipeline(augment="on", cache=cache, recipe=recipe))

    for what, values in first.items():
        assert np.array_equal(values, second[what]), f"{what} differ"


def test_another_seed_gives_another_run(open_pipeline):
    first = run(open_pipeline(augment="on"))
    second = run(open_pipeline(augment="on", seed=26))

    for what, values in first.items():
        assert not np.array_equal(values, second[what]), f"{what} are the same"


@pytest.mark.parametrize("recipe", ["matched", "tuned"])
@pytest.mark.parametrize("cache", ["off", "on"])
def test_the_number_of_workers_changes_nothing(open_pipeline, cache, recipe):
    alone = run(open_pipeline(augment="on", cache=cache, workers=0, recipe=recipe))
    helped = run(open_pipeline(augment="on", cache=cache, workers=2, recipe=recipe))

    for what, values in alone.items():
        assert np.array_equal(values, helped[what]), f"{what} differ"


def test_another_process_gives_the_same_run(open_pipeline, second_worker, framework):
    here = run(open_pipeline(augment="on"))
    other = run(open_pipeline(second_worker(framework), augment="on"))

    for what, values in here.items():
        assert np.array_equal(values, other[what]), f"{what} differ"


def test_restored_weights_train_as_they_did_at_first(open_pipeline):
    pipeline = open_pipeline(batch_size=230)  # one batch an epoch, so that its order does not matter
    pipeline.build_model()
    initial = pipeline.weights()
    first = [epoch["loss"] for epoch in pipeline.train(4)]

    pipeline.set_weights(initial)
    again = [epoch["loss"] for epoch in pipeline.train(4)]

    # Were Adam's state kept, the second loss would already be another.
    assert np.allclose(first, again, rtol=1e-3), f"losses {first}, then {again}"
