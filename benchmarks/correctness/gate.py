"""The gate: what both frameworks must compute alike before a time means anything.

Each promise is a function over a `Pair`; it returns the largest difference that it found, and raises
`AssertionError` with both figures when the frameworks differ. `test_gate.py` holds every promise,
`test_mutants.py` shows that each of them can be broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from pair import CLASSES, Pair, Remote, open_pipeline
from stagebench.case import Workload
from stagebench.case.training import ADAM
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS
from stagebench.networks import NETWORKS
from stagebench.networks.weights import Weights, load_weights, save_weights

Batches = list[tuple[np.ndarray, np.ndarray]]
"""Images and labels."""

BATCH = 8
"""Images in a step of the inspected arithmetic."""

# --- data

ANY_JPEG = 5e-6
"""How far apart prepared pixels of a JPEG of any size may be: weights of a resize are computed in float32. Of
noise in full contrast, up to 300 pixels a side, they are 3.1e-6 apart (measured)."""


def same_pixels(pair: Pair, manifest: Manifest | None = None, bound: float = 1e-6) -> float:
    """Prepared test images are equal."""
    first, second = (epoch(pipeline, "test")[0] for pipeline in pair.pipelines(manifest))
    return close("prepared pixels", first, second, bound)


def same_normalized_pixels(pair: Pair) -> float:
    """With `--normalize=half`, pixels are those of the same images, minus 0.5 and divided by 0.5."""
    worst = 0.0
    plain = [epoch(pipeline, "test")[0] for pipeline in pair.pipelines()]
    for pipeline, images in zip(pair.pipelines(normalize="half"), plain, strict=True):
        worst = max(worst, close("normalized pixels", epoch(pipeline, "test")[0], 2 * images - 1, 1e-6))
    return worst


def same_coverage(pair: Pair, workers: int = 0, cache: str = "off") -> float:
    """An epoch is all images with their labels, once each, in an order uniform over the whole set."""
    reference, labels = upright(pair)
    for pipeline in pair.pipelines(workers=workers, cache=cache):
        correlations = []
        for _ in range(4):
            images, seen = epoch(pipeline)
            order = nearest(images, reference)
            assert len(images) == len(reference), f"{len(images)} of {len(reference)} images delivered"
            assert len(set(order)) == len(order), "an image came twice"
            assert (seen == labels[order]).all(), "an image came with another one's label"
            correlations.append(np.corrcoef(order, np.arange(len(order)))[0, 1])
        # In a uniform order, when an image comes says nothing about where it stands in the manifest.
        found, sigma = abs(np.mean(correlations)), (4 * (len(labels) - 1)) ** -0.5
        assert found < 4 * sigma, f"order and manifest correlate by {found:.2f}, sigma is {sigma:.2f}"
    return 0.0


def same_coverage_from_the_cache(pair: Pair) -> float:
    """The same holds for epochs that come from the cache."""
    return same_coverage(pair, cache="on")


def same_flips(pair: Pair) -> float:
    """Both flip every image with probability 0.5 on each axis, independently."""
    reference, _ = upright(pair)
    for pipeline in pair.pipelines(augment="on"):
        draws = np.concatenate([orientations(epoch(pipeline)[0], reference) for _ in range(6)])
        expected, sigma = len(draws) / 2, (len(draws) / 4) ** 0.5
        both = (draws[:, 0] == draws[:, 1]).sum()
        for what, count in (
            ("horizontally", draws[:, 0].sum()),
            ("vertically", draws[:, 1].sum()),
            ("on both axes or none", both),
        ):
            assert abs(count - expected) < 4 * sigma, f"{count} of {len(draws)} flipped {what}"
    return 0.0


# --- arithmetic


def same_logits(pair: Pair) -> float:
    """Logits agree in inference and training mode, for batches of 1 to 64."""
    worst = 0.0
    for precision, bound in (("float32", NETWORKS[pair.network].logits_apart), ("float64", 1e-10)):
        first, second = pair.inspectors(precision)
        weights = random_weights(pair, precision)
        for count, mode in product((1, 7, 64), (False, True)):
            images = random_images(pair, count, precision)
            logits = [side.logits(weights, images, mode) for side in (first, second)]
            scale = max(1.0, float(np.abs(logits[0]).max()))
            worst = max(worst, close(f"{precision} logits", logits[0] / scale, logits[1] / scale, bound))
    return worst


def same_gradients(pair: Pair) -> float:
    """The loss and every gradient agree: by the norm of the difference, relative to that of the gradient."""
    worst = 0.0
    network = NETWORKS[pair.network]
    for precision, bound in (("float32", network.gradients_apart), ("float64", 1e-9)):
        weights, images = random_weights(pair, precision), random_images(pair, BATCH, precision)
        labels = np.random.default_rng(1).integers(0, CLASSES, BATCH)
        (loss, gradients), (other_loss, other_gradients) = (
            side.loss_and_gradients(weights, images, labels) for side in pair.inspectors(precision)
        )
        worst = max(worst, close(f"{precision} loss", loss, other_loss, min(bound, 1e-4) * abs(loss)))
        trained = [name for name in weights if network.trainable(name)]
        assert list(gradients) == list(other_gradients) == trained
        for name, gradient in gradients.items():
            norm = 1.0 if network.changes_nothing(name) else np.linalg.norm(gradient)
            apart = np.linalg.norm(gradient - other_gradients[name]) / norm
            worst = max(worst, close(f"{precision} gradients of {name}", apart, 0.0, bound))
    return worst


def same_descent(pair: Pair, batches: Batches | None = None, accumulate: int = 1) -> float:
    """Steps of plain gradient descent in float64 end in equal losses and weights.

    The gradients of `accumulate` batches make one step; without any given, the batches are random.
    """
    weights, batches = random_weights(pair, "float64"), batches or random_batches(pair, "float64", pair.steps)
    (losses, after), (other_losses, other_after) = (
        side.train(weights, batches, "sgd", 0.01, accumulate) for side in pair.inspectors("float64")
    )
    worst = close("losses", np.array(losses), np.array(other_losses), 1e-10)
    for name, value in after.items():
        if not name.endswith("/variance"):  # see `running_variance_differs_as_stated`
            worst = max(worst, close(name, value, other_after[name], 1e-10))
    return worst


def running_variance_differs_as_stated(pair: Pair) -> float:
    """Torch keeps the unbiased variance of a batch, Keras the biased one: n / (n - 1) apart, to the digit."""
    worst = 0.0
    variances = [name for name in pair.initial_weights(0) if name.endswith("/variance")]
    if not variances:
        return worst
    pipeline = pair.pipelines()[0]
    pipeline.build_model()
    outputs = [row["output_shape"] for row in pipeline.layers() if row["kind"] == "batch_norm"]
    for precision, bound in (("float32", NETWORKS[pair.network].logits_apart / 10), ("float64", 1e-10)):
        weights, batches = random_weights(pair, precision), random_batches(pair, precision, 1)
        unbiased, biased = (
            side.train(weights, batches, "sgd", 0.0)[1] for side in pair.inspectors(precision)
        )
        for name, (*area, _) in zip(variances, outputs, strict=True):
            count = BATCH * prod(area)
            kept = NETWORKS[pair.network].batch_norm_decay * weights[name]
            ours, theirs = unbiased[name] - kept, (biased[name] - kept) * count / (count - 1)
            worst = max(worst, close(f"{precision} {name}", ours, theirs, bound))
    return worst


def adam_is_as_documented(pair: Pair) -> float:
    """Fifty of each framework's Adam updates are those of the formula that it documents."""
    generator = np.random.default_rng(3)
    start = generator.standard_normal(20)
    gradients = [generator.standard_normal(20) * 10.0 ** generator.integers(-6, 1) for _ in range(50)]
    worst = 0.0
    for side, epsilon_hat in zip(pair.inspectors("float64"), (False, True), strict=True):
        path = side.adam_path(start, gradients, 0.001)
        expected = adam_reference(start, gradients, 0.001, epsilon_hat)
        for step, (ours, reference) in enumerate(zip(path, expected, strict=True)):
            worst = max(worst, close(f"Adam step {step}", ours, reference, 1e-10))
    return worst


def adam_losses_stay_close(pair: Pair) -> float:
    """The two Adams place epsilon differently; what is left of it after two steps is bounded."""
    weights, batches = random_weights(pair, "float64"), random_batches(pair, "float64", 3)
    first, second = (side.train(weights, batches, "adam", 0.001)[0] for side in pair.inspectors("float64"))
    return close("losses under Adam", np.array(first), np.array(second), NETWORKS[pair.network].adams_apart)


def same_initial_weights(pair: Pair) -> float:
    """A built model has the canonical initial weights of its seed."""
    worst = 0.0
    expected = pair.initial_weights(7)
    for pipeline in pair.pipelines(seed=7):
        pipeline.build_model()
        found = pipeline.weights()
        worst = max(close(f"initial {name}", found[name], value, 0.0) for name, value in expected.items())
    return worst


# --- reports and files


def reports_are_true(pair: Pair) -> float:
    """Loss and accuracy of an evaluation are numpy's, from the logits, over images and not over batches."""
    worst = 0.0
    for pipeline in pair.pipelines():
        pipeline.build_model()
        pipeline.train(2)
        images, labels = epoch(pipeline, "test")
        loss, accuracy = numpy_metrics(pipeline.predict(images), labels)
        reported = pipeline.evaluate()
        worst = max(worst, close("evaluation loss", reported["loss"], loss, 1e-5 * loss))
        worst = max(worst, close("evaluation accuracy", reported["accuracy"], accuracy, 1e-6))
    return worst


def training_reports_are_true(pair: Pair) -> float:
    """Loss and accuracy of a training epoch are numpy's over its batches: with steps too small to see."""
    worst = 0.0
    for _, batches, weights, inspector, pipeline in first_epochs(pair, {"learning_rate": 1e-30}):
        logits = np.concatenate([inspector.logits(weights, images, True) for images, _ in batches])
        loss, accuracy = numpy_metrics(logits, np.concatenate([labels for _, labels in batches]))
        (reported,) = pipeline.train(1)
        worst = max(worst, close("training loss", reported["loss"], loss, 1e-5 * loss))
        worst = max(worst, close("training accuracy", reported["accuracy"], accuracy, 1e-6))
    return worst


def training_steps_are_the_inspected_ones(pair: Pair) -> float:
    """What `train` does to the weights is what the inspected arithmetic does, on the same batches.

    A heavy network is trained in few steps, of larger batches.
    """
    worst, network = 0.0, NETWORKS[pair.network]
    batch = {"batch_size": max(32, ceil(len(pair.manifest.train) / pair.steps))}
    for framework, batches, weights, inspector, pipeline in first_epochs(pair, batch):
        _, expected = inspector.train(weights, batches, "adam", 0.001)
        pipeline.train(1)
        for name, value in pipeline.weights().items():
            # Under Adam, a variable without a gradient follows rounding noise, and BatchNorm's mean it.
            if not name.endswith("/mean") and not network.changes_nothing(name):
                moved = np.linalg.norm(expected[name] - weights[name])
                apart = np.linalg.norm(value - expected[name]) / max(moved, 1e-12)
                worst = max(worst, close(f"{framework}: steps of {name}", apart, 0.0, network.adam_rounds))
                close(
                    f"{framework}: {name}", value, expected[name], 2e-3 if network.adam_rounds < 0.1 else 1e-2
                )
    return worst


def models_cross_over(pair: Pair, folder: Path) -> float:
    """Trained in one, evaluated in the other: same accuracy, same loss."""
    worst, bound = 0.0, max(1e-4, NETWORKS[pair.network].logits_apart)
    for trainer, judge in ((0, 1), (1, 0)):
        pipelines = pair.pipelines()
        for pipeline in pipelines:
            pipeline.build_model()
        pipelines[trainer].train(3)
        save_weights(folder / "weights.npz", pipelines[trainer].weights())
        pipelines[judge].set_weights(load_weights(folder / "weights.npz"))
        own, other = pipelines[trainer].evaluate(), pipelines[judge].evaluate()
        worst = max(worst, close("loss in the other framework", other["loss"], own["loss"], bound))
        worst = max(worst, close("accuracy in the other framework", other["accuracy"], own["accuracy"], 1e-6))
    return worst


def files_keep_the_model(pair: Pair, folder: Path) -> float:
    """A saved and loaded model has the same weights to the bit."""
    worst = 0.0
    for framework, pipeline in zip(pair.workers, pair.pipelines(), strict=True):
        pipeline.build_model()
        pipeline.train(1)
        before, path = pipeline.weights(), str(folder / f"model{FRAMEWORKS[framework].model_suffix}")
        pipeline.save_model(path)
        pipeline.load_model(path)
        after = pipeline.weights()
        worst = max(close(f"saved {name}", after[name], value, 0.0) for name, value in before.items())
    return worst


# --- what the promises are made of


def close(what: str, value: Any, other: Any, bound: float) -> float:
    """Return the largest difference, which must not exceed the bound."""
    difference = float(np.abs(np.asarray(value) - np.asarray(other)).max())
    assert difference <= bound, f"{what} differ by {difference:.2g}, allowed is {bound:.2g}"
    return difference


def equal(first: Mapping[str, Any], *others: Mapping[str, Any]) -> None:
    """Hold arrays and numbers by name to be the same, to the last digit."""
    for other in others:
        assert [*other] == [*first]
        for name, value in first.items():
            difference = np.abs(np.asarray(other[name]) - value).max()
            assert np.array_equal(other[name], value), f"{name} differ by {difference:.2g}"


def arithmetic(pair: Pair, precision: str, **form: str) -> dict[str, Any]:
    """Return outputs, loss and gradients of 7 images in the one framework of the pair.

    `form` is an `api` or a `placement`.
    """
    (inspector,) = pair.inspectors(precision, **form)
    weights, images = random_weights(pair, precision), random_images(pair, 7, precision)
    loss, gradients = inspector.loss_and_gradients(weights, images, np.arange(7))
    logits = {f"logits, training {mode}": inspector.logits(weights, images, mode) for mode in (False, True)}
    return {**logits, "loss": loss, **gradients}


def epoch(pipeline: Remote, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of one epoch as delivered."""
    images, labels = zip(*pipeline.batches(split), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def first_epochs(
    pair: Pair, workload: dict[str, Any]
) -> Iterator[tuple[str, Batches, dict[str, np.ndarray], Remote, Remote]]:
    """Yield for each framework: batches, initial weights, inspector, and a built pipeline.

    The batches are those that the pipeline will train on in its first epoch: the same seed gives the same.
    """
    weights = pair.initial_weights(Workload(CLASSES).seed)
    for side, framework in enumerate(pair.workers):
        batches = pair.pipelines(**workload)[side].batches("train")
        inspector = pair.inspectors("float32")[side]
        pipeline = pair.pipelines(**workload)[side]
        pipeline.build_model()
        yield framework, batches, weights, inspector, pipeline


def upright(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return all training images, unflipped and in the manifest's order, as torch prepares them."""
    framework, worker = next(iter(pair.workers.items()))
    own = pair.manifest
    swapped = replace(own, train=own.test, test=own.train, file=own.root / "swapped.json")
    swapped.save()
    return epoch(open_pipeline(worker, framework, swapped, {}), "test")


def nearest(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return, for each image, the index of the reference image that it is closest to."""
    flat, other = images.reshape(len(images), -1), reference.reshape(len(reference), -1)
    return ((flat**2).sum(1)[:, None] - 2 * flat @ other.T + (other**2).sum(1)).argmin(1)


def orientations(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return, for each image, whether it is flipped horizontally and vertically: int [N, 2]."""
    turned = [reference[:, ::v, ::h] for h, v in product((1, -1), (1, -1))]
    which = nearest(images, np.concatenate(turned)) // len(reference)
    return np.stack([which // 2, which % 2], axis=1)


def random_weights(pair: Pair, precision: str) -> dict[str, np.ndarray]:
    """Return initial weights of the pair's network with every variable moved off its neutral value."""
    return off_neutral(pair.initial_weights(5), precision)


def off_neutral(weights: Weights, precision: str) -> dict[str, np.ndarray]:
    """Return weights with biases, scales, offsets and statistics that are neither 0 nor 1."""
    generator = np.random.default_rng(5)
    return {
        name: (value + 0.1 * generator.random(value.shape) * (1 if value.ndim == 1 else 0)).astype(precision)
        for name, value in weights.items()
    }


def random_images(pair: Pair, count: int, precision: str, seed: int = 0) -> np.ndarray:
    """Return images [count, H, W, 3] from 0 to 1, of the size that the pair's network takes."""
    return np.random.default_rng(seed).random((count, pair.size, pair.size, 3)).astype(precision)


def random_batches(pair: Pair, precision: str, count: int) -> Batches:
    """Return batches of random images and labels."""
    generator = np.random.default_rng(6)
    return [
        (random_images(pair, BATCH, precision, seed), generator.integers(0, CLASSES, BATCH))
        for seed in range(count)
    ]


def adam_reference(
    start: np.ndarray, gradients: list[np.ndarray], learning_rate: float, epsilon_hat: bool
) -> list[np.ndarray]:
    """Adam as torch documents it, or with Keras' "epsilon hat" (Kingma and Ba, section 2)."""
    # Keras rounds its constants to float32, whatever the precision of the variable.
    beta_1, beta_2 = (float(np.float32(b)) if epsilon_hat else b for b in (ADAM.beta_1, ADAM.beta_2))
    value, mean, square, path = start.copy(), 0.0, 0.0, []
    for step, gradient in enumerate(gradients, start=1):
        mean += (gradient - mean) * (1 - ADAM.beta_1)
        square += (gradient**2 - square) * (1 - ADAM.beta_2)
        correction = (1 - beta_2**step) ** 0.5
        # epsilon hat is added before the correction of the second moment, epsilon after it
        root = square**0.5 / correction
        epsilon = ADAM.epsilon / correction if epsilon_hat else ADAM.epsilon
        value = value - learning_rate * (mean / (1 - beta_1**step)) / (root + epsilon)
        path.append(value)
    return path


def numpy_metrics(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return cross-entropy and accuracy over the images, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(1) == labels).mean())


Promise = Callable[..., float]


def by_name(*promises: Promise) -> dict[str, Promise]:
    """Return promises by their names."""
    return {promise.__name__: promise for promise in promises}


OF_DATA = by_name(
    same_pixels, same_normalized_pixels, same_coverage, same_coverage_from_the_cache, same_flips
)
OF_ARITHMETIC = by_name(same_initial_weights, same_logits, same_gradients, same_descent)
OF_TRAINING = by_name(
    running_variance_differs_as_stated,
    adam_is_as_documented,
    adam_losses_stay_close,
    reports_are_true,
    training_reports_are_true,
    training_steps_are_the_inspected_ones,
)
PROMISES = {**OF_DATA, **OF_ARITHMETIC, **OF_TRAINING}
