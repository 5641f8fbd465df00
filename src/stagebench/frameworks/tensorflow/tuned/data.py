"""Data loading of the recipe `tuned`: paths are shuffled instead of images, and batches flipped at once.

What was tried, in microseconds an image (JPEGs of 64x64 to 32x32, batches of 32, two cores of an AMD EPYC):

| step | tried, what is used last |
|---|---|
| cached | `cache`, then flips 44, one tensor and `gather` 5 without flips |
| flips | slices 75, `tf.where` 32, `reverse_sequence` 19, `dynamic_partition` 6, the old `where` 7 |

And on a busier day, files without a cache, resized by matrices:

| an element is | tried, what is used last |
|---|---|
| an image | of any size by `tf.cond` 117, of one size 104, `map` fused with `batch` 117, resized late 95 |
| a batch, unrolled | 82, but a graph as long as a batch is large; by eights 85 |
| a batch, `tf.map_fn` | resized as a whole 88, but then pixels depend on how many are in it; one by one 97 |

On that day a cached epoch with flips took 23; with vectors of indices in place of single ones 26, with rows
gathered in flipped order 181.

With pictures of several sizes, `tf.image.resize` takes most of the time, and neither element is faster.
On a GPU nothing has been measured yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import prod

import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Split
from stagebench.frameworks.tensorflow.data import DECODE, RESIZE, normalized

BATCHES_IN_FLIGHT = 2
CHUNK = 32
"""Images that go into memory at once."""

LARGEST_PICTURE = 2**16
"""Pixels of pictures that are resized by matrices; `tf.image.resize` is as fast from there on."""
LONGEST_SIDE = 2**12
"""Pixels of their sides; making the matrix of one takes the square of it."""

Resize = Callable[[tf.Tensor], tf.Tensor]


def loader(split: Split, case: Case, workload: Workload, manifest: Manifest, threads: int) -> tf.data.Dataset:
    """Batches: images float32 [B, H, W, 3], one-hot labels float32 [B, classes]; the last may be smaller."""
    training = split == "train"
    paths = [os.fsencode(path) for path in manifest.paths(split)]  # names need not be UTF-8
    resize = resize_for(manifest.picture_size, workload.input_size)

    def prepare(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.map_fn(lambda path: resize(read(path)), batch, fn_output_signature=tf.float32)
        return normalized(images, case.pixels), tf.one_hot(labels, workload.classes)

    def shuffled(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.shuffle(len(paths), seed=workload.seed) if training else dataset

    files = tf.data.Dataset.from_tensor_slices((paths, manifest.labels(split)))
    if case.cache == "off":
        batches = shuffled(files).batch(case.batch_size).map(prepare, threads)
    elif not training:
        batches = files.batch(case.batch_size).map(prepare, threads).cache()
    else:
        # One tensor of all images: tf.data's own cache hands them out one by one, for more than a flip costs.
        prepared = _with_threads(files.batch(CHUNK).map(prepare, threads), threads)
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


def resize_for(picture_size: tuple[int, int] | None, size: int) -> Resize:
    """Return what makes float32 [size, size, 3] from 0 to 1 of a picture, fast where all have one small size.

    An antialiased resize is a matrix product on either axis. Loading pictures of 64x64 takes 304 us by these
    and 424 by `tf.image.resize`, of 256x256 1,106 and 1,058, of 512x512 3,927 and 1,904 (beside other work).
    """
    if picture_size is None or prod(picture_size) > LARGEST_PICTURE or max(picture_size) > LONGEST_SIDE:
        return lambda picture: tf.image.resize(picture, (size, size), **RESIZE["tuned"]) / 255.0
    if picture_size == (size, size):
        return lambda picture: tf.ensure_shape(tf.cast(picture, tf.float32) / 255.0, (size, size, 3))
    height, width = picture_size
    rows = _resize_matrix(height, size) / 255.0
    columns = tf.linalg.LinearOperatorKronecker(
        [tf.linalg.LinearOperatorFullMatrix(m) for m in (_resize_matrix(width, size), tf.eye(3))]
    ).to_dense()

    def by_matrices(picture: tf.Tensor) -> tf.Tensor:
        picture = tf.cast(tf.ensure_shape(picture, (height, width, 3)), tf.float32)
        lines = rows @ tf.reshape(picture, (height, width * 3))
        return tf.reshape(tf.matmul(lines, columns, transpose_b=True), (size, size, 3))

    return by_matrices


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
