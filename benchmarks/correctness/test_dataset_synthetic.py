"""The synthetic pictures are the same for everyone, and enough like photographs."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.datasets.synthetic import build, jpeg


def quiet(what, done, total):
    pass


def built(folder: Path, processes: int = 0, **asked) -> Manifest:
    folder.mkdir()
    build(DatasetRequest("synthetic", **asked), folder, progress=quiet, processes=processes)
    return Manifest.load(folder / "manifest.json")


@cache
def jpegs() -> list[bytes]:
    return [jpeg(25, "train", label, number, 64) for label in range(100) for number in range(3)]


@cache
def pixels() -> np.ndarray:
    """Decode the pictures: float64 [300, 64, 64, 3]."""
    return np.array([np.asarray(Image.open(io.BytesIO(content))) for content in jpegs()], dtype=float)


@settings(max_examples=15)
@given(st.integers(1, 12), st.integers(0, 8), st.integers(0, 8), st.sampled_from([8, 17, 64]))
def test_a_picture_does_not_depend_on_how_many_are_made(tmp_path_factory, classes, more, test, size):
    tree = built(
        tmp_path_factory.mktemp("trees") / "tree",
        classes=classes,
        train_images=classes + more,
        test_images=classes + test,
        image_size=size,
    )
    for split, count in (("train", classes + more), ("test", classes + test)):
        found = {image.path: image.label for image in tree.images(split)}
        expected = {f"{split}/{i % classes}/{i // classes}.jpg": i % classes for i in range(count)}
        assert found == expected
        for path, label in found.items():
            alone = jpeg(25, split, label, int(Path(path).stem), size)
            assert (tree.root / path).read_bytes() == alone, path


def test_a_picture_does_not_depend_on_how_many_processes_make_it(tmp_path):
    asked = {"classes": 7, "train_images": 900, "test_images": 50, "image_size": 16}
    trees = [built(tmp_path / str(n), processes=n, **asked) for n in (0, 1, 3)]
    assert len({tree.fingerprint for tree in trees}) == 1
    assert len({(tree.train, tree.test, tree.classes) for tree in trees}) == 1


@given(st.tuples(st.integers(0, 2**70), st.sampled_from(["train", "test"]), st.integers(0, 999)))
@settings(max_examples=30)
def test_seed_split_class_and_number_each_change_the_picture(key):
    seed, split, label = key
    other_split = "test" if split == "train" else "train"
    variants = [
        jpeg(seed, split, label, 0, 16),
        jpeg(seed + 1, split, label, 0, 16),
        jpeg(seed, other_split, label, 0, 16),
        jpeg(seed, split, label + 1, 0, 16),
        jpeg(seed, split, label, 1, 16),
    ]
    assert len(set(variants)) == len(variants)


def test_the_generator_version_is_raised_when_the_pictures_change():
    # Brightness of four quarters; libraries may round differently, another generator differs by much more.
    picture = np.asarray(Image.open(io.BytesIO(jpeg(25, "train", 3, 4, 64))).convert("L"), dtype=float)
    quarters = picture.reshape(2, 32, 2, 32).mean(axis=(1, 3)).ravel()
    expected = [122.7, 125.8, 150.9, 104.7]
    assert np.abs(quarters - expected).max() < 2, f"version 1 makes {expected}, this generator {quarters}"


def test_files_are_jpegs_of_quality_75_with_halved_colour():
    picture = Image.open(io.BytesIO(jpegs()[0]))
    default = io.BytesIO()
    picture.save(default, "JPEG", quality=75, subsampling="4:2:0")
    reference = Image.open(default)
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
    assert picture.quantization == reference.quantization
    assert [layer[1:3] for layer in picture.layer] == [(2, 2), (1, 1), (1, 1)]


def test_the_median_file_has_the_size_of_an_upscaled_cifar_image():
    median = np.median([len(content) for content in jpegs()])
    assert 1200 <= median <= 2500, f"median is {median} bytes"


def test_the_amplitude_falls_with_frequency_as_in_photographs():
    brightness = pixels().mean(axis=-1)
    brightness -= brightness.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(64)[:, None] * np.hanning(64)
    amplitude = np.sqrt((np.abs(np.fft.fft2(brightness * window)) ** 2).mean(axis=0))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64, 1 / 64), np.fft.fftfreq(64, 1 / 64)))
    rings = np.arange(2, 32)
    means = [amplitude[np.abs(frequency - ring) < 0.5].mean() for ring in rings]
    slope = np.polyfit(np.log(rings), np.log(means), 1)[0]
    # Natural images: about -1, between -0.8 and -1.5 (Tolhurst, Tadmor and Chao 1992).
    assert -1.3 < slope < -0.9, f"slope is {slope:.2f}"


def test_colour_channels_are_correlated_as_in_photographs():
    red_green, red_blue, green_blue = np.corrcoef(pixels().reshape(-1, 3).T)[[0, 0, 1], [1, 2, 2]]
    assert 0.85 < red_blue < green_blue < red_green < 0.99, (red_green, red_blue, green_blue)


def test_pictures_of_a_class_resemble_each_other_more_than_those_of_others():
    flat = pixels().reshape(100, 3, -1)
    flat = flat - flat.mean(axis=(0, 1))
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    within = np.mean(np.sum(flat[:, 0] * flat[:, 1], axis=-1))
    between = np.mean(np.sum(flat[:, 0] * np.roll(flat[:, 1], 1, axis=0), axis=-1))
    assert within > between + 0.1, f"correlation within a class {within:.2f}, between classes {between:.2f}"


def test_flipped_pictures_are_still_of_their_class():
    means = pixels().reshape(100, 3, 64, 64, 3).mean(axis=1)
    means = means - means.mean(axis=0)
    for flipped in (means[:, ::-1], means[:, :, ::-1]):
        same = np.mean(means * flipped)
        other = np.mean(means * np.roll(flipped, 1, axis=0))
        assert same > 2 * abs(other), f"product with the own class flipped {same:.0f}, another {other:.0f}"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"train_images": 99}, "--train-images is 99, allowed is 100 or more"),
        ({"test_images": 0}, "--test-images is 0, allowed is 100 or more"),
        ({"classes": 0}, "classes is 0, allowed is 1 or more"),
        ({"image_size": 7}, "image_size is 7, allowed is 8 to 1024 pixels"),
        ({"seed": -1}, "seed is -1, allowed is 0 or more"),
    ],
)
def test_counts_that_cannot_be_are_refused_with_the_allowed_ones(tmp_path, asked, message):
    with pytest.raises(DatasetError, match=message):
        prepare(DatasetRequest("synthetic", **asked), tmp_path / "cache", quiet)
    assert not (tmp_path / "cache").exists()
