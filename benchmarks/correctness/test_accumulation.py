"""The axis `accumulate`: the gradients of several batches make one update, that of one large batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gate
from patches import IN_ORDER, TENSORFLOW, TORCH, patched
from stagebench.case import Workload

TOGETHER = 4
WITHOUT_BATCH_NORM = ("mlp", "cifar10")


def large_batches(pair, updates):
    """Return batches in float64."""
    return gate.random_batches(pair, "float64", updates)


def small_batches(pair, updates):
    """Return the same images in batches of a fourth."""
    return [
        (images[part], labels[part])
        for images, labels in large_batches(pair, updates)
        for part in np.split(np.arange(gate.BATCH), TOGETHER)
    ]


def is_the_large_batch(pair, framework, optimizer, updates=5):
    """Updates by four batches each are those by batches of four times the size."""
    weights = gate.random_weights(pair, "float64")
    inspector = dict(zip(pair.workers, pair.inspectors("float64"), strict=True))[framework]
    losses, expected = inspector.train(weights, large_batches(pair, updates), optimizer, 0.01)
    small_losses, found = inspector.train(weights, small_batches(pair, updates), optimizer, 0.01, TOGETHER)

    means = np.reshape(small_losses, (updates, TOGETHER)).mean(1)
    worst = gate.close("losses", means, np.array(losses), 1e-10)
    return max(worst, *(gate.close(name, found[name], value, 1e-10) for name, value in expected.items()))


def counts_what_is_left_over(pair, framework, mutant=None):
    """Two epochs of 8 batches, three for an update, are 16 batches in a row; a round begins with none."""
    worker, side = pair.workers[framework], list(pair.workers).index(framework)
    pair = replace(pair, network="mlp")
    weights = pair.initial_weights(Workload(100).seed)
    with patched(worker, IN_ORDER[framework] | (mutant or {})):
        batches = pair.pipelines()[side].batches("train")
        inspector = pair.inspectors("float32")[side]
        _, expected = inspector.train(weights, batches * 2, "adam", 0.001, 3)
        pipeline = pair.pipelines(accumulate=3)[side]
        pipeline.build_model()
        for _ in range(2):
            pipeline.set_weights(weights)
            pipeline.train(2)
            found = pipeline.weights()
            for name, value in expected.items():
                # An update moves a weight by up to 1e-3; one whose gradient is rounding noise, anywhere.
                apart = np.abs(found[name] - value).mean()
                assert apart <= 1e-5, f"{framework}: {name} is {apart:.2g} apart on average"


@pytest.mark.parametrize("network", WITHOUT_BATCH_NORM)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_without_batch_norm_small_batches_together_are_the_large_one(both, name, network, optimizer):
    print(is_the_large_batch(replace(both, network=network), name, optimizer))  # noqa: T201


@pytest.mark.parametrize(("network", "updates"), [("mlp", 20), ("cifar10", 20), ("article", 5)])
def test_both_frameworks_accumulate_alike(both, network, updates):
    pair = replace(both, network=network)
    print(gate.same_descent(pair, small_batches(pair, updates), TOGETHER))  # noqa: T201


def test_with_batch_norm_each_small_batch_has_statistics_of_its_own(both):
    """So that the update is another one, the same in both frameworks: the test before holds them to it."""
    weights = gate.random_weights(both, "float64")
    for side in both.inspectors("float64"):
        losses, expected = side.train(weights, large_batches(both, 3), "sgd", 0.01)
        small_losses, found = side.train(weights, small_batches(both, 3), "sgd", 0.01, TOGETHER)
        means = np.reshape(small_losses, (3, TOGETHER)).mean(1)
        apart = np.abs(means - losses)
        kernels = [name for name in expected if name.endswith("/kernel")]
        moved = max(np.abs(found[name] - expected[name]).max() for name in kernels)
        print(f"losses {apart.max():.2g} apart, kernels {moved:.2g}")  # noqa: T201

        assert apart.max() > 1e-3
        assert moved > 1e-4


@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_what_is_left_over_counts_into_the_next_epoch_and_not_into_the_next_round(both, name):
    counts_what_is_left_over(both, name)


SUMMED = {
    "torch": {
        f"{TORCH}.training:train_step": "lambda model, optimizer, images, labels, scaler=None, "
        "accumulation=None: ("
        "optimizer.zero_grad() if accumulation.waiting == 0 else None, (logits := model(images)), "
        "(loss := criterion(logits, labels)), loss.backward(), setattr(accumulation, 'waiting', "
        "(accumulation.waiting + 1) % accumulation.batches), "
        "optimizer.step() if accumulation.waiting == 0 else None, (loss, logits))[-1]"
    },
    "tensorflow": {
        f"{TENSORFLOW}.training:keras.optimizers.SGD.update_step": "lambda self, gradient, variable, rate: "
        "original(self, gradient * (self.gradient_accumulation_steps or 1), variable, rate)"
    },
}
DROPPED = {
    "torch": {
        f"{TORCH}.pipeline:Pipeline._train_epoch_of": "lambda self, *a: "
        "(setattr(self.accumulation, 'waiting', 0), original(self, *a))[1]"
    },
    "tensorflow": {
        f"{TENSORFLOW}.training:CountImages.on_epoch_end": "lambda self, *a: (original(self, *a), "
        "[v.assign(tf.zeros_like(v)) for v in self.model.optimizer.variables if 'accumulator' in v.name], "
        "self.model.optimizer._iterations.assign(self.model.optimizer.iterations * 3))[0]"
    },
}
KEPT = {
    "torch": {
        f"{TORCH}.pipeline:Pipeline.set_weights": "lambda self, weights: (kept := self.accumulation, "
        "original(self, weights), setattr(self, 'accumulation', kept))[1]"
    },
    "tensorflow": {
        f"{TENSORFLOW}.training:reset_optimizer": "lambda optimizer: [v.assign(tf.zeros_like(v)) for v in "
        "optimizer.variables if v.name != 'learning_rate' and 'accumulator' not in v.name]"
    },
}


@pytest.mark.parametrize("name", SUMMED)
def test_a_sum_in_place_of_the_mean_is_caught(pair, name):
    with patched(pair.workers[name], SUMMED[name]), pytest.raises(AssertionError, match="losses differ by"):
        is_the_large_batch(replace(pair, network="mlp"), name, "sgd")


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("mutants", [DROPPED, KEPT], ids=["dropped", "kept for the next round"])
def test_a_rest_that_is_dropped_or_kept_for_the_next_round_is_caught(pair, name, mutants):
    with pytest.raises(AssertionError, match="apart on average"):
        counts_what_is_left_over(pair, name, mutants[name])
