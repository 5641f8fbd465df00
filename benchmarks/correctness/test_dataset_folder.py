"""A user's own tree is read as it stands, or refused in one sentence with the path."""

import io
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS, Manifest
from stagebench.datasets.names import sort_files, sort_names
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare


def quiet(what, done, total):
    pass


def picture(shade: int = 0, format: str = "JPEG", mode: str = "RGB", size: int = 16) -> bytes:
    file = io.BytesIO()
    gradient = PillowImage.radial_gradient("L").resize((size, size)).point(lambda v: (v + shade) % 256)
    gradient.convert(mode).save(file, format)
    return file.getvalue()


def tree(root: Path, classes=("cat", "dog"), files=("1.jpg", "2.jpg", "10.jpg")) -> Path:
    for split in SPLITS:
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for number, file in enumerate(files):
                (root / split / name / file).write_bytes(picture(10 * label + number))
    return root


def read(root: Path, cache_folder: Path, **options) -> Manifest:
    return prepare(DatasetRequest(str(root), **options), cache_folder, quiet)


def refusal(root: Path, cache_folder: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read(root, cache_folder)
    assert not list(cache_folder.glob("*.json")), "a manifest was stored for a tree that was refused"
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_labels_follow_the_classes_and_images_stand_in_natural_order(tmp_path):
    manifest = read(tree(tmp_path / "data", classes=("10", "9", "1")), tmp_path / "cache")
    assert manifest.classes == ("1", "9", "10")
    assert manifest.labels("test") == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [image.path for image in manifest.train[:4]] == [
        "train/1/1.jpg",
        "train/1/2.jpg",
        "train/1/10.jpg",
        "train/9/1.jpg",
    ]
    for path in manifest.paths("train"):
        assert Path(path).is_file()


def test_the_manifest_is_kept_apart_from_the_users_folder(tmp_path):
    root = tree(tmp_path / "data")
    before = sorted(root.rglob("*"))
    manifest = read(root, tmp_path / "cache")
    assert sorted(root.rglob("*")) == before
    assert manifest.file.parent == tmp_path / "cache"
    assert Manifest.load(manifest.file) == manifest


def test_a_relative_path_and_hidden_files_are_accepted(tmp_path, monkeypatch):
    root = tree(tmp_path / "data")
    expected = read(root, tmp_path / "cache")
    (root / "train" / ".git").mkdir()
    (root / "train" / ".DS_Store").touch()
    (root / "train" / "cat" / ".DS_Store").write_text("no image")
    monkeypatch.chdir(tmp_path)
    assert read(Path("data"), tmp_path / "cache") == expected


def test_grey_jpegs_are_accepted(tmp_path):
    root = tree(tmp_path / "data")
    (root / "test" / "cat" / "1.jpg").write_bytes(picture(mode="L"))
    assert len(read(root, tmp_path / "cache").test) == 6


def test_the_manifest_says_the_size_that_all_pictures_have(tmp_path):
    root = tree(tmp_path / "data")
    manifest = read(root, tmp_path / "cache")
    assert Manifest.load(manifest.file).picture_size == (16, 16)

    (root / "test" / "dog" / "1.jpg").write_bytes(picture(size=17))
    assert read(root, tmp_path / "cache").picture_size is None


@given(st.lists(st.integers(0, 10**9).map(str), unique=True))
def test_whole_numbers_are_sorted_by_value(names):
    assert [int(name) for name in sort_names(names)] == sorted(map(int, names))


@given(st.lists(st.text(min_size=1), unique=True), st.randoms())
def test_the_order_of_names_does_not_depend_on_the_order_of_listing(names, random):
    shuffled = random.sample(names, len(names))
    assert sort_names(shuffled) == sort_names(names)
    assert sort_files(shuffled) == sort_files(names)
    if not all(name.isascii() and name.isdecimal() for name in names):
        assert sort_names(names) == sorted(names)


@given(st.text(alphabet="ab_", max_size=3), st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_in_file_names_are_sorted_by_value(prefix, numbers):
    files = sort_files(f"{prefix}{number}.jpg" for number in numbers)
    assert files == [f"{prefix}{number}.jpg" for number in sorted(numbers)]


@given(st.data())
def test_the_fingerprint_changes_when_any_byte_changes(tmp_path_factory, data):
    tmp = tmp_path_factory.mktemp("fingerprint")
    root = tree(tmp / "data", classes=("0", "1"), files=("0.jpg", "1.jpg"))
    before = read(root, tmp / "cache").fingerprint
    file = root / data.draw(st.sampled_from(["train/0/0.jpg", "train/0/1.jpg", "test/0/1.jpg"]))
    content = bytearray(file.read_bytes())
    # Bytes 14 to 17 hold the density in a JFIF header: no decoder needs it.
    position = data.draw(st.integers(14, 17))
    content[position] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert read(root, tmp / "cache").fingerprint != before


def test_the_fingerprint_does_not_depend_on_where_the_tree_is(tmp_path):
    one, two = (read(tree(tmp_path / name), tmp_path / "cache") for name in ("one", "two"))
    assert one.fingerprint == two.fingerprint
    assert one.file != two.file


@pytest.mark.parametrize("source", ["", "no-such-folder", "cifar100", "Synthetic"])
def test_a_source_that_is_nothing_is_refused_with_the_allowed_ones(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DatasetError,
        match=f"{source!r} is no folder; allowed are synthetic, cifar10:ARCHIVE, cifar100:ARCHIVE",
    ):
        prepare(DatasetRequest(source), tmp_path / "cache", quiet)


@pytest.mark.parametrize(
    "names", [("Train", "VAL"), ("training", "validation"), ("train", "valid"), ("TRAIN", "Test")]
)
def test_the_usual_names_of_splits_are_accepted(tmp_path, names):
    root = tree(tmp_path / "data")
    expected = read(root, tmp_path / "cache")
    for split, name in zip(SPLITS, names, strict=True):
        (root / split).rename(root / name)

    manifest = read(root, tmp_path / "cache")

    for split, name in zip(SPLITS, names, strict=True):
        moved = [f"{root}/{name}/{image.path.partition('/')[2]}" for image in expected.images(split)]
        assert manifest.paths(split) == moved
        assert manifest.labels(split) == expected.labels(split)


def test_of_a_test_and_a_validation_split_the_test_split_is_taken(tmp_path):
    root = tree(tmp_path / "data")
    shutil.copytree(root / "test" / "cat", root / "val" / "cat")

    assert {image.path.partition("/")[0] for image in read(root, tmp_path / "cache").test} == {"test"}


def test_the_folder_of_a_split_or_above_the_data_set_is_refused_with_the_right_one(tmp_path):
    root = tree(tmp_path / "data")

    for wrong in (root / "train", tmp_path):
        found = refusal(wrong, tmp_path / "cache")
        assert found.startswith(f"{wrong} has no folder train/ (nor training/); ")
        assert found.endswith(f"; {root} has both splits: name that folder")


STRAYS = {
    "a file of a file manager": ("train/Thumbs.db", "is not in a class folder"),
    "a list": ("test/labels.csv", "is not in a class folder"),
    "an image": ("train/1.jpg", "is not in a class folder"),
    "a folder of a network drive": ("train/@eaDir/1.jpg", "is a folder of the system, and no class"),
    "a folder of an archive": ("test/__MACOSX/cat/._1.jpg", "is a folder of the system, and no class"),
    "a folder in a class folder": ("train/cat/@eaDir/1.jpg", "is a folder in a class folder"),
    "a file in a class folder": ("train/cat/Thumbs.db", "is not a JPEG"),
}


@pytest.mark.fault(
    "a data set: {stray} where no image belongs", "refused, or left out with `--skip-bad-images`"
)
@pytest.mark.parametrize("stray", STRAYS)
def test_what_is_no_image_of_a_class_is_refused_or_left_out_and_counted(tmp_path, stray):
    root = tree(tmp_path / "data")
    expected = read(root, tmp_path / "whole")
    path, wrong = STRAYS[stray]
    (root / path).parent.mkdir(exist_ok=True, parents=True)
    (root / path).write_bytes(b"no image")

    assert f" {wrong}; --skip-bad-images leaves such files out" in refusal(root, tmp_path / "cache")
    manifest = read(root, tmp_path / "cache", skip_bad_images=True)
    assert (manifest.classes, manifest.train, manifest.test) == (
        expected.classes,
        expected.train,
        expected.test,
    )
    (left_out,) = manifest.left_out
    named, _, _ = left_out.partition(" is ")
    assert (root / path).is_relative_to(named)


def _remove_split(root):
    for path in sorted((root / "test").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (root / "test").rmdir()


def _truncate(root):
    file = root / "test/dog/2.jpg"
    file.write_bytes(file.read_bytes()[:-40])


def _without_splits(root):
    for folder in (root / "train").iterdir():
        folder.rename(root / folder.name)
    _remove_split(root)
    (root / "train").rmdir()


FAULTS = {
    "classes without a split": (
        _without_splits,
        "; if cat/ and the others are classes, move them into train/",
    ),
    "two validation splits and no test split": (
        lambda root: [(root / "test").rename(root / "val"), (root / "valid").mkdir()],
        "data has val/ and valid/; rename the one that is to be used to test/",
    ),
    "no test split": (_remove_split, "data has no folder test/"),
    "an empty class": (lambda root: [(root / s / "ant").mkdir() for s in SPLITS], "train/ant is empty"),
    "a class of hidden files": (
        lambda root: [((root / s / "ant").mkdir(), (root / s / "ant" / ".x").touch()) for s in SPLITS],
        "train/ant is empty",
    ),
    "a truncated JPEG": (_truncate, "test/dog/2.jpg is a damaged JPEG"),
    "an empty file": (lambda root: (root / "test/cat/0.jpg").touch(), "test/cat/0.jpg is not a JPEG"),
    "a text": (lambda root: (root / "train/cat/a.txt").write_text("a"), "train/cat/a.txt is not a JPEG"),
    "a PNG named jpg": (
        lambda root: (root / "train/cat/3.jpg").write_bytes(picture(format="PNG")),
        "train/cat/3.jpg is not a JPEG",
    ),
    "a broken link": (
        lambda root: (root / "train/cat/3.jpg").symlink_to("nowhere"),
        "train/cat/3.jpg cannot be read: No such file",
    ),
    "a pipe": (lambda root: os.mkfifo(root / "train/cat/3.jpg"), "train/cat/3.jpg is not a regular file"),
    "a class only in train": (
        lambda root: (root / "train/ant").mkdir(),
        "test lacks the class 'ant' that train/ has",
    ),
    "a file in the split folder": (
        lambda root: (root / "train/a.jpg").write_bytes(picture()),
        "train/a.jpg is not in a class folder",
    ),
    "a nested folder": (
        lambda root: (root / "train/cat/more").mkdir(),
        "train/cat/more is a folder in a class folder",
    ),
}


@pytest.mark.fault("a data set: {fault}", "refused in a sentence with the path")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_tree_is_refused_in_one_sentence_with_the_path(tmp_path, fault):
    break_it, message = FAULTS[fault]
    root = tree(tmp_path / "data")
    break_it(root)
    found = refusal(root, tmp_path / "cache")
    assert str(root) in found
    assert message in found


@pytest.mark.fault("a JPEG that is cut anywhere", "refused")
@given(length=st.integers(1, 10_000))
def test_a_jpeg_cut_anywhere_is_refused(tmp_path_factory, length):
    tmp = tmp_path_factory.mktemp("cut")
    root = tree(tmp / "data", classes=("0", "1"), files=("0.jpg",))
    file = root / "train/0/0.jpg"
    content = file.read_bytes()
    file.write_bytes(content[: length % len(content)])
    assert f"{file} is " in refusal(root, tmp / "cache")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    root = tree(tmp_path / "data")
    (root / "test/dog/1.jpg").write_bytes(picture(size=30))
    for limit in (400, 700):  # Pillow warns above the limit, and raises above its double
        monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", limit)
        assert f"1.jpg is too large; allowed are {limit} pixels" in refusal(root, tmp_path / "cache")


def test_many_files_are_checked_in_other_processes_with_progress(tmp_path, monkeypatch):
    monkeypatch.setattr("stagebench.datasets.checked.processes_for", lambda files, per_process: 2)
    root = tree(tmp_path / "data", classes=("0", "1"), files=[f"{n}.jpg" for n in range(60)])
    calls = []
    manifest = prepare(DatasetRequest(str(root)), tmp_path / "cache", lambda *call: calls.append(call))
    assert calls == [("checking images", done, 240) for done in (0, 100, 200, 240)]
    manifest.file.unlink()
    (root / "test/1/59.jpg").write_text("no image")
    assert "test/1/59.jpg is not a JPEG" in refusal(root, tmp_path / "cache")


def test_a_jpeg_in_four_inks_is_refused(tmp_path):
    root = tree(tmp_path / "data")
    (root / "train/dog/2.jpg").write_bytes(picture(mode="CMYK"))
    assert "train/dog/2.jpg is a JPEG in CMYK" in refusal(root, tmp_path / "cache")
