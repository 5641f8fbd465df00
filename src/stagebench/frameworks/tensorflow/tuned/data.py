"""Data loading of the recipe `tuned`: paths are shuffled instead of images, and batches flipped at once.

What was tried, in microseconds an image (JPEGs of 64x64 to 32x32, batches of 32, two cores of an AMD EPYC):

| step | tried, what is used last |
|---|---|
| read, decode | 2 images in flight 42, AUTOTUNE 42, 16 in flight 31, 32 in flight 28 |
| with resize | `tf.image.resize` 115, matrices for a batch 40, for an image 37, if it has that size 42 |
| cached | `cache`, then flips 44, one tensor and `gather` 5 without flips |
| flips | slices 75, `tf.where` 32, `reverse_sequence` 19, `dynamic_partition` 6, the old `where` 7 |

On a GPU nothing has been measured yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Split
from stagebench.frameworks.tensorflow.data import DECODE, RESIZE, normalized

IMAGES_IN_FLIGHT = 32
BATCHES_IN_FLIGHT = 2
CHUNK = 256
"""Images that go into memory at once."""

Resize = Callable[[tf.Tensor], tf.Tensor]


def loader(split: Split, case: Case, workload: Workload, manifest: Manifest, threads: int) -> tf.data.Dataset:
    """Batches: images float32 [B, H, W, 3], one-hot labels float32 [B, classes]; the last may be smaller."""
    training = split == "train"
    paths = [os.fsencode(path) for path in manifest.paths(split)]  # names need not be UTF-8
    resize = resize_for(read(paths[0]).shape, workload.input_size)

    def prepare(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalized(resize(read(path)), case.pixels), tf.one_hot(label, workload.classes)

    def shuffled(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.shuffle(len(paths), seed=workload.seed) if training else dataset

    files = tf.data.Dataset.from_tensor_slices((paths, manifest.labels(split)))
    if case.cache == "off":
        batches = shuffled(files).map(prepare, IMAGES_IN_FLIGHT).batch(case.batch_size)
    elif not training:
        batches = files.map(prepare, IMAGES_IN_FLIGHT).batch(case.batch_size).cache()
    else:
        # One tensor of all images: tf.data's own cache hands them out one by one, for more than a flip costs.
        prepared = _with_threads(files.map(prepare, IMAGES_IN_FLIGHT).batch(CHUNK), threads)
        images, labels = in_memory(prepared, len(paths))
        indices = shuffled(tf.data.Dataset.range(len(paths))).batch(case.batch_size)
        batches = indices.map(lambda index: (tf.gather(images, index), tf.gather(labels, index)))
    if training and case.augment == "on":
        # Random numbers come in as data: drawn inside a parallel map they would depend on thread timing.
        draws = tf.data.Dataset.random(workload.seed, rerandomize_each_iteration=True)
        batches = tf.data.Dataset.zip(batches, draws).map(flip, BATCHES_IN_FLIGHT)
    return _with_threads(batches.prefetch(BATCHES_IN_FLIGHT), threads)


def in_memory(batches: tf.data.Dataset, count: int) -> list[tf.Variable]:
    """Return each component of a dataset as a whole; joining its batches would take twice the memory."""
    with tf.device("/CPU:0"):
        parts = [tf.Variable(tf.zeros((count, *spec.shape[1:]))) for spec in batches.element_spec]
        for number, batch in enumerate(batches):
            for part, values in zip(parts, batch, strict=True):
                indices = tf.range(number * CHUNK, number * CHUNK + len(values))
                part.scatter_update(tf.IndexedSlices(values, indices))  # assigning a slice copies the whole
        return parts


def read(path: tf.Tensor) -> tf.Tensor:
    """Return a file's picture: uint8 [height, width, 3]."""
    return tf.image.decode_jpeg(tf.io.read_file(path), channels=3, **DECODE["tuned"])


def resize_for(shape: tuple[int, int, int], size: int) -> Resize:
    """Return what makes float32 [size, size, 3] from 0 to 1 of a picture, fast for those of one shape.

    An antialiased resize is a matrix product on either axis: 9 us a picture of 64x64, of which half is the
    cast to float32. `tf.image.resize` takes 69 us (one thread, two cores of a server).
    """
    height, width, channels = shape
    rows = _resize_matrix(height, size) / 255.0
    columns = tf.linalg.LinearOperatorKronecker(
        [tf.linalg.LinearOperatorFullMatrix(m) for m in (_resize_matrix(width, size), tf.eye(channels))]
    ).to_dense()

    def by_matrices(picture: tf.Tensor) -> tf.Tensor:
        if (height, width) == (size, size):
            return tf.cast(picture, tf.float32) / 255.0
        lines = tf.reshape(tf.cast(picture, tf.float32), (height, width * channels))
        return tf.reshape(tf.matmul(rows @ lines, columns, transpose_b=True), (size, size, channels))

    def by_resize(picture: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(picture, (size, size), **RESIZE["tuned"]) / 255.0

    def resize(picture: tf.Tensor) -> tf.Tensor:
        of_this_shape = tf.reduce_all(tf.shape(picture) == shape)
        image = tf.cond(of_this_shape, lambda: by_matrices(picture), lambda: by_resize(picture))
        return tf.ensure_shape(image, (size, size, channels))

    return resize


def _resize_matrix(length: int, size: int) -> tf.Tensor:
    """Return the weights of an antialiased resize of one axis: float32 [size, length]."""
    return tf.image.resize(tf.eye(length)[..., None], (size, length), **RESIZE["tuned"])[..., 0]


def flip(batch: tuple[tf.Tensor, tf.Tensor], draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Flip each image horizontally and vertically with probability 0.5, drawn from the int64 `draw`."""
    images, labels = batch
    draws = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed=(draw, draw))
    horizontally, vertically = tf.unstack(draws < 0.5)
    # This `where` takes one condition an image and copies whole images: a third of the time of `tf.where`.
    images = tf.compat.v1.where(horizontally, tf.reverse(images, [2]), images)
    return tf.compat.v1.where(vertically, tf.reverse(images, [1]), images), labels


def _with_threads(dataset: tf.data.Dataset, threads: int) -> tf.data.Dataset:
    """Give a dataset threads of its own, and turn its tuning at run time off: all is chosen here."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    return dataset.with_options(options)
