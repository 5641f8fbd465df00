"""Data as people have them: every framework reads the same files, or none reads them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import gate
from stagebench.datasets.manifest import SPLITS, Image, Manifest
from stagebench.datasets.watch import Watch
from stagebench.frameworks import INSTALLED
from suite import ANY_FRAMEWORK
from trees import encoded, read, refusal, tree

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


# --- what is accepted is read alike


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
    gate.same_pixels(both, manifest, gate.ANY_JPEG)
    assert not (tmp_path / "owned").exists()


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

    assert lines[0] == f"12 files of {root} cannot be used:"
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
    result.stdout.fnmatch_lines(["left out: 4 files:", f"  {root}/train/cat/bad.jpg is not a JPEG"])
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
    gate.same_pixels(both, manifest, gate.ANY_JPEG)


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
