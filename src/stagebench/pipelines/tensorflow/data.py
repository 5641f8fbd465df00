"""The article's data loaders in TensorFlow: tf.data from file paths."""

from __future__ import annotations

import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.dataset import Manifest
from stagebench.pipelines.contract import Split

AUTOTUNE = tf.data.AUTOTUNE


def loader(split: Split, case: Case, workload: Workload, manifest: Manifest) -> tf.data.Dataset:
    """Batches: images float32 [B, H, W, 3], one-hot labels float32 [B, classes]; the last may be smaller."""
    paths = manifest.paths(split)

    def prepare(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (workload.input_size, workload.input_size)) / 255.0
        return image, tf.one_hot(label, workload.classes)

    dataset = tf.data.Dataset.from_tensor_slices((paths, manifest.labels(split)))
    dataset = dataset.map(prepare, num_parallel_calls=AUTOTUNE)
    if case.cache == "on":
        dataset = dataset.cache()
    if split == "train":
        if case.augment == "on":
            # Random numbers come in as data: drawn inside a parallel map they would depend on thread timing.
            draws = tf.data.Dataset.random(workload.seed, rerandomize_each_iteration=True).batch(2)
            dataset = tf.data.Dataset.zip(dataset, draws).map(flip, num_parallel_calls=AUTOTUNE)
        dataset = dataset.shuffle(len(paths), seed=workload.seed)
    return dataset.batch(case.batch_size).prefetch(AUTOTUNE)


def flip(example: tuple[tf.Tensor, tf.Tensor], draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip horizontally and vertically, each with probability 0.5. `draw`: two int64 random numbers."""
    image, label = example
    image = tf.image.stateless_random_flip_left_right(image, seed=draw)
    image = tf.image.stateless_random_flip_up_down(image, seed=draw + 1)
    return image, label
