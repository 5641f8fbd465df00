"""Both frameworks compute the same: pixels, labels, flips, logits, gradients, training, reports, files."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import gate
from pair import CLASSES
from stagebench.case import Workload
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.networks import DEFAULT, NETWORKS

pytestmark = pytest.mark.gate


RECIPES = ("matched", "tuned")
"""Those that promise equal work."""
IN_FULL = Workload(CLASSES).input_size, 50
SMALL = 24, 50
HEAVY_AND_SMALL = 12, 2
HEAVY_IN_FULL = Workload(CLASSES).input_size, 2
"""Pixels a side, steps of gradient descent."""
HEAVY_OPERATIONS = 1e8
"""Operations for an image from which on a network is heavy."""


def networks_by_recipe(trains=False):
    """Yield parameters for each network and recipe: those that are quick, and the nightly ones.

    A pull request tries the default network with each recipe, the arithmetic of the others with `matched` on
    small images: what trains and evaluates a network is the same for all. A heavy one never trains on others.
    """
    for recipe, (name, network) in product(RECIPES, NETWORKS.items()):
        if name == DEFAULT:
            yield pytest.param(recipe, name, IN_FULL, id=f"{recipe}-{name}")
            continue
        nightly = [pytest.mark.nightly("a network beside the default"), pytest.mark.long]
        heavy = network.forward_operations(CLASSES, IN_FULL[0]) > HEAVY_OPERATIONS
        small, full = (HEAVY_AND_SMALL, HEAVY_IN_FULL) if heavy else (SMALL, IN_FULL)
        left = trains or recipe == "tuned" or name == "resnet50"  # resnet50 has the builders of resnet18
        yield pytest.param(recipe, name, small, id=f"{recipe}-{name}-small", marks=nightly if left else ())
        if not (trains and heavy):
            yield pytest.param(recipe, name, full, id=f"{recipe}-{name}", marks=nightly)


@pytest.fixture(scope="module", params=RECIPES)
def each_recipe(request, pair):
    """Both frameworks, by each recipe that promises equal work."""
    return replace(pair, recipe=request.param)


@pytest.fixture
def networks(pair, recipe, network, amount):
    """Both frameworks, by each recipe, with each network."""
    size, steps = amount
    return replace(pair, recipe=recipe, network=network, size=size, steps=steps)


OF_NETWORKS = ("recipe", "network", "amount")
with_each_network = pytest.mark.parametrize(OF_NETWORKS, [*networks_by_recipe()])
training_each_network = pytest.mark.parametrize(OF_NETWORKS, [*networks_by_recipe(trains=True)])


ORIENTATION = 0x0112
"""The EXIF tag that says how to turn a picture."""


@pytest.mark.parametrize("promise", gate.OF_DATA)
def test_both_frameworks_prepare_data_alike(each_recipe, promise, record_property):
    hold(promise, each_recipe, record_property)


@with_each_network
@pytest.mark.parametrize("promise", gate.OF_ARITHMETIC)
def test_both_frameworks_compute_alike(networks, promise, record_property):
    hold(promise, networks, record_property)


@training_each_network
@pytest.mark.parametrize("promise", gate.OF_TRAINING)
def test_both_frameworks_train_and_report_alike(networks, promise, record_property):
    hold(promise, networks, record_property)


@pytest.mark.long
@pytest.mark.nightly("fifty steps of a heavy network")
@pytest.mark.parametrize("network", ["resnet18", "vit_tiny"])
def test_fifty_steps_end_alike(each_recipe, network):
    """Not of resnet50, in which rounding grows too fast: within 50 steps from 1e-12 to another training."""
    size, _ = HEAVY_AND_SMALL
    print(gate.same_descent(replace(each_recipe, network=network, size=size)))  # noqa: T201


def hold(promise, pair, record_property):
    """Hold a promise, and show the largest difference (`-s` and `-rP`)."""
    difference = gate.PROMISES[promise](pair)
    record_property("difference", difference)
    print(f"{promise}: {difference:.2g}")  # noqa: T201


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache", ["off", "on"])
def test_labels_and_coverage_are_equal_for_every_workers_and_cache(each_recipe, workers, cache):
    gate.same_coverage(each_recipe, workers, cache)


@training_each_network
def test_a_model_trained_in_one_framework_evaluates_alike_in_the_other(networks, tmp_path):
    print(f"exchange: {gate.models_cross_over(networks, tmp_path):.2g}")  # noqa: T201


@training_each_network
def test_files_keep_the_model(networks, tmp_path):
    gate.files_keep_the_model(networks, tmp_path)


@st.composite
def jpegs(draw):
    """Draw a JPEG of any size, quality, subsampling, scan order, colour and orientation, as bytes."""
    width, height = draw(st.tuples(st.integers(8, 256), st.integers(8, 256)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    coarse = generator.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    fine = generator.integers(0, 256, (height, width, 3), np.uint8)
    picture = Image.blend(Image.fromarray(coarse).resize((width, height)), Image.fromarray(fine), 0.3)
    options = {"quality": draw(st.integers(1, 100)), "progressive": draw(st.booleans())}
    if draw(st.booleans()):
        options["subsampling"] = draw(st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]))
    else:
        picture = picture.convert("L")
    exif = Image.Exif()
    exif[ORIENTATION] = draw(st.integers(1, 8))
    file = io.BytesIO()
    with mock.patch.object(ImageFile, "MAXBLOCK", 2**20):  # else Pillow gives up on some noisy pictures
        picture.save(file, "JPEG", exif=exif, **options)
    return file.getvalue()


def dataset_of(pictures, folder):
    """Write a data set that has the pictures in its test split."""
    for split in ("train", "test"):
        for number, picture in enumerate(pictures):
            file = folder / split / str(number % 2) / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture)
    return prepare(DatasetRequest(str(folder)), folder / "cache", lambda *_: None)


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(pictures=st.lists(jpegs(), min_size=8, max_size=8))
def test_any_jpeg_is_prepared_alike(each_recipe, tmp_path_factory, pictures):
    manifest = dataset_of(pictures, tmp_path_factory.mktemp("jpegs"))

    gate.same_pixels(each_recipe, manifest, gate.ANY_JPEG)


@pytest.mark.parametrize("size", [(20, 28), (32, 32), (48, 80), (250, 270), (3, 4100)])
def test_pictures_that_all_have_one_size_are_prepared_alike(each_recipe, tmp_path, size):
    """Smaller than an image, as large, larger, too large for `tuned` to load as batches, and too long."""
    noise = np.random.default_rng(0).integers(0, 256, (8, *size, 3), np.uint8)
    files = [io.BytesIO() for _ in noise]
    for file, pixels in zip(files, noise, strict=True):
        Image.fromarray(pixels).save(file, "JPEG")
    manifest = dataset_of([file.getvalue() for file in files], tmp_path)

    assert manifest.picture_size == size
    gate.same_pixels(each_recipe, manifest, gate.ANY_JPEG)


def test_orientation_tags_are_ignored_by_both(each_recipe, tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    files = []
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        file = io.BytesIO()
        picture.save(file, "JPEG", exif=exif)
        files.append(file.getvalue())

    for pipeline in each_recipe.pipelines(dataset_of(files, tmp_path)):
        plain, rotated = gate.epoch(pipeline, "test")[0]
        assert np.array_equal(plain, rotated)


@pytest.mark.long
@pytest.mark.nightly("trains for four epochs, twelve times: a minute and a half")
def test_both_frameworks_learn_alike_from_equal_weights(each_recipe, tmp_path_factory):
    request = DatasetRequest("synthetic", train_images=2000, test_images=1000, classes=20)
    manifest = prepare(request, tmp_path_factory.mktemp("learning"), lambda *_: None)

    means = []
    for framework, worker in each_recipe.workers.items():
        accuracies = []
        for seed in (1, 2, 3):
            pipeline = replace(each_recipe, workers={framework: worker}).pipelines(
                manifest, seed=seed, cache="on"
            )[0]
            pipeline.build_model()
            pipeline.train(4)
            accuracies.append(pipeline.evaluate()["accuracy"])
        means.append(np.mean(accuracies))
        print(f"{framework}: {accuracies}")  # noqa: T201  # shown by -rP

    assert min(means) > 0.5, f"accuracies {means}; chance is 0.05"
    assert abs(means[0] - means[1]) < 0.03, f"mean accuracies {means} are more than 3 points apart"
