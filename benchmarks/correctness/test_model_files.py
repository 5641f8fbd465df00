"""A saved model is the model."""

from __future__ import annotations

import numpy as np
import pytest

from pair import BY_RECIPE

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
