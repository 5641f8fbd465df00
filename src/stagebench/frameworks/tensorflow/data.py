"""Data loaders in TensorFlow: tf.data from file paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.case.training import PIXELS
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Split

AUTOTUNE = tf.data.AUTOTUNE

DECODE: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # the fast DCT, up to 3 grey levels off
    "matched": {"dct_method": "INTEGER_ACCURATE"},
    "tuned": {"dct_method": "INTEGER_ACCURATE"},
}
RESIZE: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # takes two of the pixels under a large one
    "matched": {"antialias": True},
    "tuned": {"antialias": True},
}


def loader(split: Split, case: Case, workload: Workload, manifest: Manifest) -> tf.data.Dataset:
    """Batches: images float32 [B, H, W, 3], one-hot labels float32 [B, classes]; the last may be smaller."""
    paths = [os.fsencode(path) for path in manifest.paths(split)]  # names need not be UTF-8

    def prepare(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3, **DECODE[case.recipe])
        image = tf.image.resize(image, (workload.input_size, workload.input_size), **RESIZE[case.recipe])
        return normalized(image / 255.0, case.pixels), tf.one_hot(label, workload.classes)

    dataset = tf.data.Dataset.from_tensor_slices((paths, manifest.labels(split)))
    dataset = dataset.map(prepare, num_parallel_calls=AUTOTUNE)
    if case.cache == "on":
        dataset = dataset.cache()
    if split == "train":
        if case.augment == "on":
            # Random numbers come in as data: drawn inside a parallel map they would depend on thread timing.
            draws = tf.data.Dataset.random(workload.seed, rerandomize_each_iteration=True)
            dataset = tf.data.Dataset.zip(dataset, draws).map(flip, num_parallel_calls=AUTOTUNE)
        dataset = dataset.shuffle(len(paths), seed=workload.seed)
    options = tf.data.Options()
    options.autotune.enabled = case.recipe == "published"  # ends of epochs wait for it: frameworks/README.md
    return dataset.batch(case.batch_size).prefetch(AUTOTUNE).with_options(options)


def normalized(image: tf.Tensor, how: str) -> tf.Tensor:
    """Return an image that goes from 0 to 1 or, normalized by `half`, from -1 to 1."""
    if how not in PIXELS:
        return image
    mean, deviation = PIXELS[how]
    return (image - mean) / deviation


def flip(example: tuple[tf.Tensor, tf.Tensor], draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip horizontally and vertically, each with probability 0.5: as two bits of the int64 `draw` say.

    Costs what the published `tf.image.random_flip_*` cost (measured: 78.5 and 78.6 ms for 2,000 images);
    their stateless counterparts would cost 12% more.
    """
    image, label = example
    image = tf.cond(draw & 1 > 0, lambda: tf.image.flip_left_right(image), lambda: image)
    image = tf.cond(draw & 2 > 0, lambda: tf.image.flip_up_down(image), lambda: image)
    return image, label


class WatchedBatches:
    """Batches, and for how long the loop over them had to wait; the clock runs in the graph, as loops may."""

    def __init__(self, batches: tf.data.Dataset) -> None:
        with tf.device("/CPU:0"):
            self._waited = tf.Variable(0.0, dtype=tf.float64)
        # `zip` asks its parts one after the other: the clock, the batch, the clock.
        clock = tf.data.Dataset.counter().map(lambda _: tf.timestamp())
        self.batches = (
            tf.data.Dataset.zip(clock, batches, clock).map(self._add).with_options(batches.options())
        )

    def _add(
        self, asked: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor], came: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        self._waited.assign_add(came - asked)
        return batch

    @property
    def wait_seconds(self) -> float:
        return float(self._waited.numpy())
