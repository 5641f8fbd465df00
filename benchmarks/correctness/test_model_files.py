"""A saved model is the model."""

from __future__ import annotations

import numpy as np
import pytest

from pair import BY_RECIPE
from stagebench.case import Workload
from stagebench.networks import DEFAULT, NETWORKS

pytestmark = pytest.mark.gate


@pytest.mark.parametrize("recipe", BY_RECIPE)
def test_a_reloaded_model_is_equal_in_another_process(
    open_pipeline, second_worker, framework, model_file, recipe
):
    path, images = model_file(framework), np.random.default_rng(0).random((8, 32, 32, 3), np.float32)
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()
    pipeline.train(1)  # so that running statistics are not those of a fresh model
    pipeline.save_model(path)

    other = open_pipeline(second_worker(framework), recipe=recipe)
    other.load_model(path)

    theirs = other.weights()
    for name, ours in pipeline.weights().items():
        assert np.array_equal(ours, theirs[name]), f"{name} differs"
    assert pipeline.trainable_weights() == other.trainable_weights()
    difference = np.abs(pipeline.predict(images) - other.predict(images)).max()
    assert difference == 0, f"logits differ by {difference:.1e}"


@pytest.mark.parametrize("recipe", BY_RECIPE)
def test_a_loaded_model_evaluates_like_the_saved_one(open_pipeline, framework, model_file, recipe):
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()
    pipeline.train(1)
    before = pipeline.evaluate()
    pipeline.save_model(model_file(framework))
    pipeline.load_model(model_file(framework))

    assert pipeline.evaluate() == before


@pytest.mark.parametrize("recipe", ["matched", "tuned"])
def test_a_loaded_model_trains_on_like_the_saved_one(
    open_pipeline, framework, model_file, recipe, small_dataset
):
    one_batch = len(small_dataset.train)  # so that the order of images changes nothing
    path, pipeline = model_file(framework), open_pipeline(recipe=recipe, batch_size=one_batch)
    pipeline.build_model()
    pipeline.train(3)
    pipeline.save_model(path)
    pipeline.train(1)
    expected = pipeline.weights()
    pipeline.load_model(path)
    pipeline.train(1)

    rate = Workload(1).learning_rate  # that of a first step, whatever the gradient
    for name, value in pipeline.weights().items():
        if not NETWORKS[DEFAULT].changes_nothing(name):
            difference = np.abs(value - expected[name]).mean()
            assert difference < 0.1 * rate, f"{name}: the optimiser has lost its state"
