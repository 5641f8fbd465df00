"""The same sixteen images as a pipeline delivers them, to be looked at: equal work, for the eye."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Pipeline

PICTURES = 16
IN_A_ROW = 8
LARGEST_SIDE = 64
"""Pixels of a picture's side; of larger ones every second, third ... pixel is shown."""

Pictures = dict[str, str]
"""Two PNG files in base64: `prepared`, and `flipped` as training gets them. Each has two rows of eight."""


def take_pictures(
    pipeline: Callable[[Case, Workload, Manifest], Pipeline],
    case: Case,
    workload: Workload,
    manifest: Manifest,
) -> Pictures:
    """Return sixteen training images, evenly spread over the data set, as the case's pipeline delivers them.

    Each is a class of its own meanwhile, by which it is found again after shuffling.
    """
    few = _few(manifest)
    images = pipeline(
        replace(case, batch_size=PICTURES, workers=0 if case.workers != "auto" else "auto", augment="on"),
        replace(workload, classes=len(few.classes)),
        few,
    )
    return {"prepared": _png(images.batches("test")), "flipped": _png(images.batches("train"))}


def _few(manifest: Manifest) -> Manifest:
    """Return a data set of some of the training images, the same in both splits."""
    chosen = manifest.some_of_training(PICTURES)
    images = tuple(replace(image, label=label) for label, image in enumerate(chosen))
    names = tuple(f"picture {number}" for number in range(len(chosen)))
    return replace(manifest, classes=names, train=images, test=images)


def _png(batches: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> str:
    """Return the images in the order of their labels, side by side in rows, as a PNG file in base64."""
    import PIL.Image  # 0.03 s, in one process of those that load data

    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    step = -(-images.shape[1] // LARGEST_SIDE)
    pixels = np.rint(255 * images[np.argsort(labels), ::step, ::step]).astype(np.uint8)
    empty = np.zeros((-len(pixels) % IN_A_ROW, *pixels.shape[1:]), np.uint8)
    rows = [np.concatenate(list(row), axis=1) for row in np.split(np.concatenate([pixels, empty]), 2)]
    file = io.BytesIO()
    PIL.Image.fromarray(np.concatenate(rows)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()
