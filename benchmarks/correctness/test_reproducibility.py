"""Same seed, same run; another seed, another run."""

from __future__ import annotations

import functools
from itertools import product

import numpy as np
import pytest

from stagebench.case import AXES
from stagebench.frameworks import FRAMEWORKS

pytestmark = pytest.mark.gate


@pytest.fixture(scope="session")
def first_run(open_pipeline):
    """Return a function that gives a framework's run by a recipe, made once for all tests."""
    return functools.cache(lambda recipe, cache: run(open_pipeline(augment="on", cache=cache, recipe=recipe)))


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


QUICK = [("off", "matched"), ("on", "tuned")]
MIXED = pytest.mark.nightly("each cache and each recipe is in another test")
CACHES = [
    pytest.param(*both, marks=[] if both in QUICK else [MIXED])
    for both in product(AXES["cache"].values, AXES["recipe"].values)
]


@pytest.mark.parametrize(("cache", "recipe"), CACHES)
def test_the_same_seed_gives_the_same_run(open_pipeline, first_run, cache, recipe):
    first = first_run(recipe, cache)
    second = run(open_pipeline(augment="on", cache=cache, recipe=recipe))

    for what, values in first.items():
        assert np.array_equal(values, second[what]), f"{what} differ"


def test_another_seed_gives_another_run(open_pipeline, first_run):
    second = run(open_pipeline(augment="on", seed=26))

    for what, values in first_run("matched", "off").items():
        assert not np.array_equal(values, second[what]), f"{what} are the same"


@pytest.mark.parametrize(("cache", "recipe"), [one for one in CACHES if "published" not in one.values])
def test_the_number_of_workers_changes_nothing(open_pipeline, first_run, framework, cache, recipe):
    if FRAMEWORKS[framework].chooses_workers:
        pytest.skip(f"{framework} sizes its own threads: there is no such axis")
    helped = run(open_pipeline(augment="on", cache=cache, workers=2, recipe=recipe))

    for what, values in first_run(recipe, cache).items():
        assert np.array_equal(values, helped[what]), f"{what} differ"


def test_another_process_gives_the_same_run(open_pipeline, first_run, second_worker, framework):
    other = run(open_pipeline(second_worker(framework), augment="on"))

    for what, values in first_run("matched", "off").items():
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
