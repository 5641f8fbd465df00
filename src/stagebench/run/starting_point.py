"""What the cases of deployment start from: weights, and images as each worker process prepares them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stagebench.case import Case
from stagebench.case.training import training_batch
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Pipeline, StartingPoint
from stagebench.networks.weights import Weights

CALIBRATION_IMAGES = 256


def starting_point(
    new_pipeline: Callable[[Case, Manifest], Pipeline], case: Case, manifest: Manifest, weights: Weights
) -> StartingPoint:
    """Read the test split, and some training images, which stand in for one."""
    some = manifest.some_of_training(CALIBRATION_IMAGES)
    calibration, _ = _images(new_pipeline(case, replace(manifest, test=some)))
    images, labels = _images(new_pipeline(case, manifest))
    return StartingPoint(weights, calibration, images, labels)


def in_float32(case: Case) -> Case:
    """Return the case of the model that a deployed one is compared with: as the framework comes."""
    return replace(case.default_computation, batch_size=training_batch(case.batch_size))


def _images(pipeline: Pipeline) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*pipeline.batches("test"), strict=True)
    return np.concatenate(images), np.concatenate(labels)
