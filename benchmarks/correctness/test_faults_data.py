"""Data as people have them: every framework reads the same pixels of a file, or none reads it."""

from __future__ import annotations

import io
import json
import os
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

import gate
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS, Image, Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.datasets.watch import Watch
from stagebench.frameworks import INSTALLED
from suite import ANY_FRAMEWORK

BOUND = 2e-6  # of prepared pixels of any JPEG, see the README
GENERATOR = np.random.default_rng(7)
NOISE = PillowImage.fromarray(GENERATOR.integers(0, 256, (24, 24, 3), np.uint8))


def encoded(mode="RGB", size=(24, 24), format="JPEG", **options):
    file = io.BytesIO()
    NOISE.resize(size).convert(mode).save(file, format, **options)
    return file.getvalue()


def exif(orientation):
    tags = PillowImage.Exif()
    tags[0x0112] = orientation
    return tags


JPEGS = {
    "baseline": encoded(),
    "progressive": encoded(progressive=True),
    "every pixel in colour": encoded(subsampling="4:4:4"),
    "half of the columns in colour": encoded(subsampling="4:2:2", optimize=True),
    "greyscale": encoded("L"),
    "1x1": encoded(size=(1, 1)),
    "5x300": encoded(size=(5, 300)),
    "restart markers": encoded(restart_marker_blocks=1),
    "EXIF-rotated": encoded(exif=exif(6)),
    "RGB instead of YCbCr": encoded(keep_rgb=True),
    "colour profile and comment": encoded(icc_profile=b"profile", comment=b"comment"),
}
NAMES = {
    "upper case": "A.JPG",
    "longer suffix": "a.jpeg",
    "no suffix": "a",
    "spaces": "a b .jpg",
    "quotes": "'a\"`b`.jpg",
    "line break": "a\nb.jpg",
    "emoji": "😀.jpg",
    "markup": "<script>alert(1)<",
    "shell": "$(touch owned);&.jpg",
    "not UTF-8": b"\xff\xfe.jpg".decode(errors="surrogateescape"),
}


def tree(root, files, classes=("cat", "dog")):
    """Write the files, by name, into each class of both splits."""
    for split in SPLITS:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for file, content in files.items():
                (root / split / name / file).write_bytes(content)
    return root


def read(root, **options):
    return prepare(DatasetRequest(str(root), **options), root.parent / "cache", lambda *_: None)


def refusal(root, **options):
    with pytest.raises(DatasetError) as caught:
        read(root, **options)
    return str(caught.value)


# --- what is accepted is read alike


@pytest.fixture(params=["matched", "tuned"])
def both(request, pair):
    return replace(pair, recipe=request.param)


@pytest.mark.fault(
    "JPEGs in greyscale, progressive, of one pixel, EXIF-rotated ...",
    "equal pixels in both frameworks",
)
def test_both_frameworks_read_the_same_pixels_of_every_kind_of_jpeg(both, tmp_path):
    manifest = read(tree(tmp_path / "data", {f"{name}.jpg": jpeg for name, jpeg in JPEGS.items()}))

    assert len(manifest.train) == 2 * len(JPEGS)
    gate.same_pixels(both, manifest, BOUND)


@pytest.mark.fault(
    "names: .JPG, .jpeg, spaces, quotes, line breaks, emoji, `<script>`, `$(...)`, not UTF-8",
    "the same files in both",
)
def test_both_frameworks_read_the_same_files_whatever_they_are_called(both, tmp_path):
    files = {
        name: encoded(comment=name.encode(errors="surrogateescape"), quality=60 + number)
        for number, name in enumerate(NAMES.values())
    }
    classes = [name.removesuffix(".jpg") for name in NAMES.values()]
    manifest = read(tree(tmp_path / "data", files, classes))

    assert sorted(manifest.classes) == sorted(classes)
    gate.same_pixels(both, manifest, BOUND)
    assert not (tmp_path / "owned").exists()


MUTANTS = st.tuples(st.sampled_from(sorted(JPEGS.values())), st.integers(0, 2**64 - 1))


def mutant(jpeg, seed):
    """Return the file after one to four random edits."""
    chance = random.Random(seed)
    content = bytearray(jpeg)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(chance.choice([700, len(content)])) % len(content)
        match chance.choice("bbbssid-"):
            case "b":
                content[place] ^= 1 << chance.randrange(8)
            case "s":
                content[place] = chance.randrange(256)
            case "i":
                content[place:place] = chance.randbytes(chance.randrange(1, 8))
            case "d":
                del content[place : place + chance.randrange(1, 20)]
            case _:
                del content[place:]
        content = content or bytearray(b"\xff")
    return bytes(content)


@pytest.mark.fault("a JPEG with any random damage", "both frameworks read equal pixels, or it is refused")
@pytest.mark.nightly("2,000 damaged files; the pull request has one of each damage")
@pytest.mark.parametrize("both", ["matched"], indirect=True)
def test_both_frameworks_accept_equal_pixels_of_a_mutated_jpeg_or_both_refuse(both, tmp_path_factory):
    outcomes = Counter()

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.lists(MUTANTS, min_size=50, max_size=50))
    def try_50(mutants):
        files = {f"{number}.jpg": mutant(*made) for number, made in enumerate(mutants)}
        folder = tmp_path_factory.mktemp("mutants")
        root = tree(folder / "data", {**files, "whole.jpg": JPEGS["baseline"]})
        manifest = read(root, skip_bad_images=True)
        outcomes["refused"] += len(manifest.left_out) // 4
        outcomes["accepted"] += len(manifest.train) // 2 - 1
        for recipe in ("matched", "tuned"):
            gate.same_pixels(replace(both, recipe=recipe), manifest, BOUND)

    try_50()
    print(f"{sum(outcomes.values())} mutants: {dict(outcomes)}")  # noqa: T201  # shown by -s and -rP
    assert sum(outcomes.values()) >= 2000
    assert min(outcomes.values()) > 200


# --- what is not is refused before anything is timed, or left out for all


def with_precision(bits):
    """Return a JPEG whose header promises other than 8 bits a sample."""
    content = bytearray(encoded())
    content[content.index(b"\xff\xc0") + 4] = bits
    return bytes(content)


def damaged(marker, offset):
    content = bytearray(encoded())
    content[content.index(marker) + offset] ^= 0xFF
    return bytes(content)


BAD = {
    "no byte": (b"", "is not a JPEG"),
    "zeros": (bytes(4000), "is not a JPEG"),
    "first byte flipped": (b"\xfe" + encoded()[1:], "is not a JPEG"),
    "quantization table damaged": (damaged(b"\xff\xdb", 4), "is "),
    "Huffman table damaged": (damaged(b"\xff\xc4", 5), "is a damaged JPEG"),
    "scan header damaged": (damaged(b"\xff\xda", 4), "is a damaged JPEG"),
    "cut in the scan": (encoded()[:-200], "is a damaged JPEG"),
    "bytes between the segments": (encoded().replace(b"\xff\xda", b"\0\0\xff\xda"), "is a damaged JPEG"),
    "PNG": (encoded(format="PNG"), "is not a JPEG"),
    "WebP": (encoded(format="WEBP"), "is not a JPEG"),
    "GIF": (encoded("P", format="GIF"), "is not a JPEG"),
    "HTML": (b"<!doctype html><title>404 Not Found</title>", "is not a JPEG"),
    "four inks": (encoded("CMYK"), "is a JPEG in CMYK"),
    "16 bits": (with_precision(16), "is "),
    "12 bits": (with_precision(12), "is "),
    "10,000x10,000 pixels": (None, "is too large; allowed are 89478485 pixels"),
}


@pytest.mark.fault("an image file: {fault}", "refused, or left out with `--skip-bad-images`")
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_image_is_refused_or_left_out(tmp_path, fault):
    content, message = BAD[fault]
    root = tree(tmp_path / "data", {"1.jpg": encoded()})
    (root / "test/dog/bad.jpg").write_bytes(encoded("L", (10_000, 10_000)) if content is None else content)

    assert f"{root}/test/dog/bad.jpg {message}" in refusal(root)
    manifest = read(root, skip_bad_images=True)
    assert [image.path for image in manifest.test] == ["test/cat/1.jpg", "test/dog/1.jpg"]
    assert len(manifest.left_out) == 1


BAD_LINKS = {
    "link to nothing": ("nowhere", "cannot be read: No such file or directory"),
    "link to itself": ("bad.jpg", "cannot be read: Too many levels of symbolic links"),
    "link to a device": ("/dev/zero", "is not a regular file"),
    "link to what cannot be read": ("/proc/self/mem", "cannot be read: Input/output error"),
}


@pytest.mark.fault("an image file: {fault}", "refused, or left out with `--skip-bad-images`")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.parametrize("fault", BAD_LINKS)
def test_a_bad_link_is_refused_or_left_out(tmp_path, fault):
    target, message = BAD_LINKS[fault]
    root = tree(tmp_path / "data", {"1.jpg": encoded()})
    (root / "train/cat/bad.jpg").symlink_to(target)

    assert f"{root}/train/cat/bad.jpg {message}" in refusal(root)
    assert len(read(root, skip_bad_images=True).left_out) == 1


@pytest.mark.fault("links to images and classes", "followed")
def test_links_to_images_and_to_classes_are_followed(tmp_path):
    root = tree(tmp_path / "data", {"1.jpg": encoded()}, classes=("cat",))
    (root / "train/cat/2.jpg").symlink_to("1.jpg")
    for split in SPLITS:
        (root / split / "dog").symlink_to("cat")

    manifest = read(root)

    assert manifest.classes == ("cat", "dog")
    assert len(manifest.train) == 4


@pytest.mark.fault("a huge file that is no image", "refused or left out, and not read")
def test_a_huge_file_is_not_read(tmp_path):
    root = tree(tmp_path / "data", {"1.jpg": encoded()})
    with (root / "train/cat/huge.zip").open("wb") as file:
        file.truncate(2**40)

    assert f"{root}/train/cat/huge.zip is too large; allowed are 536870912 bytes" in refusal(root)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() == 0, reason="Linux only, and not as root")
def test_a_class_folder_that_may_be_listed_and_not_entered_is_named(tmp_path):
    root = tree(tmp_path / "data", {"1.jpg": encoded()})
    (root / "train/cat").chmod(0o644)

    assert f"{root}/train/cat/1.jpg cannot be read: Permission denied" in refusal(root)


@pytest.mark.fault(
    "a file that changes between the check and the first group",
    "its group is discarded, and so is every later one",
)
def test_a_file_that_changes_after_its_check_and_before_the_session_is_noticed(tmp_path):
    manifest = read(tree(tmp_path / "data", {"1.jpg": encoded()}))
    path = Path(manifest.paths("train")[0])
    assert Watch(manifest).change() is None

    path.write_bytes(path.read_bytes()[::-1])

    assert Watch(manifest).change() == f"{path} has changed since it was checked"


@pytest.mark.fault("a class folder that leads back to its parent", "refused")
def test_a_class_folder_that_links_to_its_parents_is_refused(tmp_path):
    root = tree(tmp_path / "data", {"1.jpg": encoded()})
    for split in SPLITS:
        (root / split / "loop").symlink_to("..")

    assert "is a folder in a class folder" in refusal(root)


@pytest.mark.fault("many bad images", "ten are named, all are counted")
def test_of_many_bad_images_ten_are_named_and_all_are_counted(tmp_path):
    root = tree(tmp_path / "data", {"0.jpg": encoded(), **{f"{n}.jpg": b"" for n in range(1, 4)}})

    lines = refusal(root).splitlines()

    assert lines[0] == f"12 images of {root} cannot be used:"
    assert len([line for line in lines if "is not a JPEG" in line]) == 10
    assert lines[-1] == "  and 2 more; --skip-bad-images leaves such files out, for all frameworks alike"


@pytest.mark.fault("a line break or an escape in the name of a bad file", "stands as `\\n` in the message")
def test_a_line_break_in_a_name_breaks_no_message(tmp_path):
    root = tree(tmp_path / "data", {"0.jpg": encoded(), "a\nb\x1b[31m.jpg": b""})

    assert "a\\nb\\x1b[31m.jpg is not a JPEG" in refusal(root)


@pytest.mark.fault("a class with bad images alone", "refused, with `--skip-bad-images` too")
def test_a_class_that_has_only_bad_images_is_refused_also_when_they_are_left_out(tmp_path):
    root = tree(tmp_path / "data", {"0.jpg": encoded()})
    (root / "train/dog/0.jpg").write_bytes(b"")

    assert f"{root}/train/dog holds no image that can be used" in refusal(root, skip_bad_images=True)


@pytest.mark.fault("a data set of one class", "refused")
def test_a_single_class_is_refused(tmp_path):
    root = tree(tmp_path / "data", {"0.jpg": encoded()}, classes=("cat",))

    assert refusal(root) == f"{root} has one class; allowed are 2 or more"


# --- in a session


@pytest.mark.fault("images that were left out", "no case has seen them; their number is said and saved")
@pytest.mark.parametrize("name", ANY_FRAMEWORK)
def test_how_many_images_were_left_out_is_said_and_saved_and_no_case_has_seen_them(suite, tmp_path, name):
    root = tree(tmp_path / "data", {"0.jpg": encoded(), "1.jpg": encoded(), "bad.jpg": b""})
    options = (f"--dataset={root}", "--skip-bad-images", "--cache=on", "--stages=data_loading")

    result = suite.run(*options, frameworks=name)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["left out: 4 images:", f"  {root}/train/cat/bad.jpg is not a JPEG"])
    (run,) = suite.saved()
    infos = [benchmark["extra_info"] for benchmark in run["benchmarks"]]
    assert {(info["skipped_images"], info["images"]) for info in infos} == {(4, 4)}


CHANGES = {
    "lose_file": "can no longer be read: No such file or directory",
    "change_file": "has changed since it was checked",
}


@pytest.mark.fault(
    "data that change after the check: {fault}",
    "the group is discarded, and so is every later one",
)
@pytest.mark.parametrize("fault", CHANGES)
def test_data_that_change_while_they_are_measured_have_no_time(suite, tmp_path, monkeypatch, fault):
    root = tree(tmp_path / "data", {"0.jpg": encoded(), "1.jpg": encoded()})
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"model_building": {"fault": fault}}))

    result = suite.run(f"--dataset={root}", "--cache=on", "--stages=data_loading,model_building,training")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines([f"{root}/train/cat/0.jpg {CHANGES[fault]}; *"] * 2)
    assert "Traceback" not in result.stdout.str()
    (run,) = suite.saved()
    assert [b["extra_info"]["stage"] for b in run["benchmarks"]] == ["data_loading"]


@pytest.mark.fault("one image a class, fewer images than a batch", "measured")
@pytest.mark.skipif(not INSTALLED, reason="no framework is installed")
@pytest.mark.nightly("12 processes of real frameworks; a pull request tries the pipelines alone")
def test_one_image_a_class_and_fewer_than_a_batch_are_enough(suite, tmp_path):
    root = tree(tmp_path / "data", {"0.jpg": encoded()}, classes=("cat", "dog", "cow"))

    result = suite.run(f"--dataset={root}", "--cache=on", frameworks=",".join(INSTALLED))

    result.assert_outcomes(passed=6 * len(INSTALLED))


def test_pipelines_take_one_image_a_class_and_fewer_than_a_batch(both, tmp_path):
    manifest = read(tree(tmp_path / "data", {"0.jpg": encoded()}, classes=("cat", "dog", "cow")))

    for pipeline in both.pipelines(manifest, cache="on"):
        pipeline.build_model()
        (epoch,) = pipeline.train(1)
        assert (epoch["images"], pipeline.evaluate()["images"]) == (3, 3)
    gate.same_pixels(both, manifest, BOUND)


@pytest.mark.nightly("a session of torch; a pull request tries the rates alone")
@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
def test_names_that_are_not_utf_8_are_measured_with_their_limit(suite, tmp_path):
    root = tree(tmp_path / "data", {NAMES["not UTF-8"]: encoded()})

    result = suite.run(f"--dataset={root}", "--cache=off", "--stages=data_loading", frameworks="torch")

    result.assert_outcomes(passed=1)
    (run,) = suite.saved()
    assert run["benchmarks"][0]["extra_info"]["limit_fraction"] > 0


def test_the_manifest_remembers_what_was_left_out(tmp_path):
    image = Image("train/0/0.jpg", 0, 1, "0" * 64)
    manifest = Manifest(tmp_path, ("0",), (image,), (image,), "f", tmp_path / "m.json", ("bad.jpg is bad",))
    manifest.save()

    assert Manifest.load(manifest.file).left_out == manifest.left_out
