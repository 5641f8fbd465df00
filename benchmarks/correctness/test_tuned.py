"""The recipe `tuned` computes what `matched` does, in either framework."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gate
from pair import BY_RECIPE, Pair
from patches import TORCH, patched
from stagebench.frameworks import FRAMEWORKS
from stagebench.networks.article import NETWORK
from stagebench.run.process import WorkerError


@pytest.fixture
def recipes(framework, process_of, small_dataset):
    """The framework by each of the two recipes; both use one worker process."""
    return [Pair({framework: process_of(framework)}, small_dataset, name) for name in ("matched", "tuned")]


def test_pixels_are_those_of_matched(recipes):
    first, second = (gate.epoch(pair.pipelines()[0], "test")[0] for pair in recipes)

    gate.close("pixels of matched and tuned", first, second, 1e-6)


@pytest.mark.parametrize("width", [63, 65])
def test_a_picture_that_has_not_the_size_of_all_is_an_error(
    framework, process_of, small_dataset, tmp_path, width
):
    """A file that has changed since it was checked must not be taken for pixels of another shape."""
    other = replace(small_dataset, picture_size=(64, width), file=tmp_path / "manifest.json")
    other.save()
    (pipeline,) = Pair({framework: process_of(framework)}, other, "tuned").pipelines()
    sentence = {
        "torch": r"0\.jpg: .*(64 by 65 pixels are expected|buffer is too small)",
        "tensorflow": rf"expected shape \[64,{width},3\]",
    }

    with pytest.raises(WorkerError, match=sentence[framework]):
        pipeline.batches("test")


def test_a_training_step_is_that_of_matched(recipes):
    """In float32: there alone TensorFlow's BatchNorm is the fused one."""
    weights = gate.random_weights(recipes[0], "float32")
    batches = gate.random_batches(recipes[0], "float32", 1)
    (losses, after), (other_losses, other_after) = (
        pair.inspectors("float32")[0].train(weights, batches, "sgd", 0.01) for pair in recipes
    )

    gate.close("loss", losses[0], other_losses[0], 1e-5)
    for name, value in after.items():
        gate.close(name, value, other_after[name], 1e-5)


def test_folded_weights_are_the_networks_without_batch_norm():
    weights = gate.off_neutral(NETWORK.initial_weights(100, 32, seed=5), "float32")
    folded = NETWORK.fold_batch_norm(weights)

    assert list(folded) == [name for name in weights if not name.startswith("batch_norm")]
    # What the first block computes of one pixel in the middle, before its ReLU.
    patch = np.random.default_rng(0).random((3, 3, 3))
    plain = np.tensordot(patch, weights["conv1/kernel"], 3) + weights["conv1/bias"]
    scale, offset, mean, variance = (
        weights[f"batch_norm1/{name}"] for name in ("scale", "offset", "mean", "variance")
    )
    expected = (plain - mean) / np.sqrt(variance + NETWORK.batch_norm_epsilon) * scale + offset
    gate.close(
        "folded", np.tensordot(patch, folded["conv1/kernel"], 3) + folded["conv1/bias"], expected, 1e-5
    )


SLEEP, BATCHES = 0.05, 8  # of 32 images, of 230
SLEEPY = {
    # Each batch comes late, after everything that a pipeline does in advance.
    "torch": "lambda self, split: ((__import__('time').sleep(0.05), b)[1] for b in original(self, split))",
    "tensorflow": "lambda self, split: original(self, split).map(lambda images, labels: (tf.ensure_shape("
    "tf.numpy_function(lambda i: (__import__('time').sleep(0.05), i)[1], [images], tf.float32), "
    "(None, 32, 32, 3)), labels))",
}
METHOD = {"torch": "_epoch", "tensorflow": "_loader"}


@pytest.mark.parametrize("recipe", BY_RECIPE)
def test_the_wait_for_data_is_measured(open_pipeline, process_of, framework, recipe):
    target = f"{FRAMEWORKS[framework].pipeline_module(recipe)}:Pipeline.{METHOD[framework]}"
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()
    with patched(process_of(framework), {target: SLEEPY[framework]}):
        watched = pipeline.watch_training()

    assert watched["epoch"]["images"] == 230
    assert BATCHES * SLEEP <= watched["data_wait_seconds"] <= watched["seconds"], watched


@pytest.mark.parametrize("recipe", BY_RECIPE)
def test_a_training_step_is_no_wait_for_data(open_pipeline, process_of, framework, recipe):
    if framework != "torch":
        pytest.skip("a step inside TensorFlow's graph cannot be made to sleep")
    pipeline = open_pipeline(recipe=recipe)
    pipeline.build_model()
    module = "tuned.training" if recipe == "tuned" else "training"
    slow = "lambda *a: (__import__('time').sleep(0.05), original(*a))[1]"
    with patched(process_of(framework), {f"{TORCH}.{module}:train_step": slow}):
        watched = pipeline.watch_training()

    assert watched["data_wait_seconds"] <= watched["seconds"] - BATCHES * SLEEP, watched
