"""Same seed, same run; another seed, another run."""

from __future__ import annotations

import numpy as np
import pytest


def run(pipeline):
    """Return everything random of a short training: batches, initial weights, losses, final weights."""
    batches = pipeline.batches("train")
    pipeline.build_model()
    initial = pipeline.weights()
    losses = [epoch["loss"] for epoch in pipeline.train(2)]
    return {
        "images": np.concatenate([images for images, _ in batches]),
        "labels": np.concatenate([labels for _, labels in batches]),
        "initial weights": np.concatenate([value.ravel() for value in initial]),
        "losses": np.array(losses),
    }


@pytest.mark.parametrize("cache", ["off", "on"])
def test_the_same_seed_gives_the_same_run(open_pipeline, cache):
    first = run(open_pipeline(augment="on", cache=cache))
    second = run(open_pipeline(augment="on", cache=cache))

    for what, values in first.items():
        assert np.array_equal(values, second[what]), f"{what} differ"


def test_another_seed_gives_another_run(open_pipeline):
    first = run(open_pipeline(augment="on"))
    second = run(open_pipeline(augment="on", seed=26))

    for what, values in first.items():
        assert not np.array_equal(values, second[what]), f"{what} are the same"


@pytest.mark.parametrize("cache", ["off", "on"])
def test_the_number_of_workers_changes_nothing(open_pipeline, cache):
    alone = run(open_pipeline(augment="on", cache=cache, workers=0))
    helped = run(open_pipeline(augment="on", cache=cache, workers=2))

    for what, values in alone.items():
        assert np.array_equal(values, helped[what]), f"{what} differ"


def test_another_process_gives_the_same_run(open_pipeline, start_worker, framework):
    here = run(open_pipeline(augment="on"))
    other = run(open_pipeline(start_worker(f"{framework}-again"), augment="on"))

    for what, values in here.items():
        assert np.array_equal(values, other[what]), f"{what} differ"


def test_training_from_restored_weights_starts_where_a_built_model_starts(open_pipeline):
    pipeline = open_pipeline()
    pipeline.build_model()
    initial = pipeline.weights()
    trained_once = pipeline.train(1)[0]["loss"]

    pipeline.set_weights(initial)

    for before, after in zip(initial, pipeline.weights(), strict=True):
        assert np.array_equal(before, after)
    # Another order of the images, but the same start: were Adam's state kept, the loss would be far lower.
    assert abs(pipeline.train(1)[0]["loss"] - trained_once) < 0.3 * trained_once
