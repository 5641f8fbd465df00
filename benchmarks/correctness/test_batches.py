"""What the model gets: every image once an epoch, with its label, in an orientation that was asked for."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from itertools import product

import numpy as np
import pytest
from PIL import Image

from gate import epoch, nearest
from stagebench.datasets.manifest import Manifest

pytestmark = pytest.mark.gate

BATCH_SIZE = 32
SETTINGS = list(product((0, 2), ("off", "on")))
"""Loading processes (which a framework that sizes its own threads ignores), cache."""


@pytest.fixture(params=["matched", "tuned"])
def open_pipeline(request, open_pipeline):
    """Open a pipeline by each recipe that promises equal work."""
    return partial(open_pipeline, recipe=request.param)


@pytest.fixture(scope="session")
def reference(small_dataset):
    """Every training image as Pillow prepares it: float32 [N, H, W, 3]."""
    return np.stack([load(path) for path in small_dataset.paths("train")])


def load(path):
    with Image.open(path) as image:
        return np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), np.float32) / 255


@pytest.mark.parametrize("split", ["train", "test"])
def test_batches_are_float32_from_0_to_1_and_the_last_one_is_ragged(open_pipeline, small_dataset, split):
    batches = open_pipeline().batches(split)

    total = len(small_dataset.labels(split))
    sizes = [BATCH_SIZE] * (total // BATCH_SIZE) + [total % BATCH_SIZE]
    assert [images.shape for images, _ in batches] == [(size, 32, 32, 3) for size in sizes]
    assert [labels.shape for _, labels in batches] == [(size,) for size in sizes]
    assert {images.dtype for images, _ in batches} == {np.dtype(np.float32)}
    assert {labels.dtype for _, labels in batches} == {np.dtype(np.int64)}
    pixels = np.concatenate([images for images, _ in batches])
    assert 0 <= pixels.min() < 0.1, f"darkest pixel {pixels.min()}"
    assert 0.9 < pixels.max() <= 1, f"brightest pixel {pixels.max()}"


@pytest.mark.parametrize(("workers", "cache"), SETTINGS)
def test_every_epoch_is_a_new_order_of_all_images_with_their_labels(
    open_pipeline, small_dataset, reference, workers, cache
):
    pipeline = open_pipeline(workers=workers, cache=cache)
    own_labels = np.array(small_dataset.labels("train"))

    orders = []
    for _ in range(3):  # with a cache, the first epoch fills it
        images, labels = epoch(pipeline)
        order = nearest(images, reference)
        assert sorted(order) == list(range(len(own_labels))), "an epoch is not every image once"
        assert (labels == own_labels[order]).all(), "an image came with another one's label"
        orders.append(tuple(order))

    assert len(set(orders)) == 3, "two epochs had the same order"
    assert tuple(range(len(own_labels))) not in orders, "an epoch was not shuffled"


def test_test_images_come_in_the_manifests_order(open_pipeline, small_dataset):
    _, labels = epoch(open_pipeline(), "test")

    assert labels.tolist() == small_dataset.labels("test")


def test_an_image_does_not_depend_on_those_in_its_batch(open_pipeline):
    images, few = (epoch(open_pipeline(batch_size=size), "test")[0] for size in (BATCH_SIZE, 7))

    assert np.array_equal(images, few)


@pytest.mark.parametrize(("workers", "cache"), SETTINGS)
def test_flips_give_each_of_four_orientations_about_as_often(open_pipeline, workers, cache):
    upright, _ = epoch(open_pipeline())
    flipped = {
        image[::vertical, ::horizontal].tobytes(): (index, horizontal, vertical)
        for index, image in enumerate(upright)
        for horizontal, vertical in product((1, -1), (1, -1))
    }

    pipeline = open_pipeline(workers=workers, cache=cache, augment="on")
    epochs = [[flipped.get(image.tobytes()) for image in epoch(pipeline)[0]] for _ in range(4)]

    seen = [image for images in epochs for image in images]
    assert None not in seen, "an image was delivered that is no orientation of any"
    counts = Counter((horizontal, vertical) for _, horizontal, vertical in seen)
    expected, sigma = len(seen) / 4, (len(seen) * 3 / 16) ** 0.5
    assert all(abs(counts[o] - expected) < 4 * sigma for o in counts), f"{counts}, expected {expected} each"
    assert len(counts) == 4
    repeats = sum(a == b for a, b in zip(sorted(epochs[0]), sorted(epochs[1]), strict=True))
    assert repeats < len(upright) / 2, f"{repeats} of {len(upright)} flips are those of the epoch before"


def test_test_images_are_never_flipped(open_pipeline):
    upright, _ = epoch(open_pipeline(augment="off"), "test")
    augmented, _ = epoch(open_pipeline(augment="on"), "test")

    assert np.array_equal(upright, augmented)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cached_image_is_the_decoded_one(open_pipeline, workers):
    decoded, _ = epoch(open_pipeline(), "test")
    pipeline = open_pipeline(cache="on", workers=workers)

    assert np.array_equal(epoch(pipeline, "test")[0], decoded), "while the cache fills"
    assert np.array_equal(epoch(pipeline, "test")[0], decoded), "from the cache"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cached_epoch_needs_no_files(open_pipeline, small_dataset, tmp_path, workers):
    """With loader processes, the next epoch's must find what this epoch's have put in."""
    shutil.copytree(small_dataset.root, tmp_path / "data")
    copied = Manifest.load(tmp_path / "data" / small_dataset.file.name)
    pipeline = open_pipeline(manifest=copied, cache="on", workers=workers)
    first, _ = epoch(pipeline)
    shutil.rmtree(tmp_path / "data" / "train")

    second, _ = epoch(pipeline)

    assert sorted(image.tobytes() for image in first) == sorted(image.tobytes() for image in second)
