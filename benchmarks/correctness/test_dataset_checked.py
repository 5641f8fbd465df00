"""A file of a folder is checked once, until it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stagebench.datasets.manifest import SPLITS, Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from trees import encoded, refusal, tree


def twelve(folder: Path) -> Path:
    """Return a tree of two classes with three pictures each in both splits."""
    return tree(folder / "data", {f"{name}.jpg": encoded(size=(16, 16)) for name in (1, 2, 10)})


def at_rest(root: Path, seconds: float = 3600) -> None:
    """Let all files look as if they had changed last so long ago."""
    for file in root.rglob("*.jpg"):
        os.utime(file, (max(0, time.time() - seconds),) * 2)


def checks(root: Path, cache_folder: Path, **options) -> tuple[list[int], Manifest]:
    """Return how many files are checked, and the manifest."""
    calls = []
    manifest = prepare(DatasetRequest(str(root), **options), cache_folder, lambda *call: calls.append(call))
    return [total for what, done, total in calls if what == "checking images" and done == total], manifest


def test_a_file_is_checked_once_until_it_changes(tmp_path):
    root = twelve(tmp_path)
    at_rest(root)
    assert checks(root, tmp_path / "cache")[0] == [12]
    again, known = checks(root, tmp_path / "cache")
    assert again == []
    (root / "test" / "cat" / "1.jpg").write_bytes(encoded(size=(17, 17)))
    (root / "train" / "dog" / "2.jpg").touch()
    again, changed = checks(root, tmp_path / "cache")
    assert again == [2]
    assert [image for image in changed.test if image not in known.test] == [changed.test[0]]
    assert (known.picture_size, changed.picture_size) == ((16, 16), None)
    (root / "train" / "ant").mkdir()
    (root / "test" / "ant").mkdir()
    for split in SPLITS:
        (root / split / "ant" / "1.jpg").write_bytes(encoded(size=(16, 16)))
    _, more = checks(root, tmp_path / "cache")
    assert more.labels("test") == [0, 1, 1, 1, 2, 2, 2], "a known file keeps the label of before"


def test_a_file_of_1970_is_known(tmp_path):
    root = twelve(tmp_path)
    at_rest(root, seconds=time.time())
    assert [checks(root, tmp_path / "cache")[0] for _ in range(2)] == [[12], []]


def test_a_file_that_has_just_changed_may_change_again_unseen(tmp_path):
    """Within a tick of the clock of its file system, its size and its time of change can stay as they are."""
    root = twelve(tmp_path)
    at_rest(root, seconds=1)
    assert [checks(root, tmp_path / "cache")[0] for _ in range(2)] == [[12], [12]]


def test_a_bad_file_is_checked_each_time(tmp_path):
    root = twelve(tmp_path)
    (root / "train" / "dog" / "2.jpg").write_bytes(b"no image")
    at_rest(root)
    assert "2.jpg is not a JPEG" in refusal(root)
    assert "2.jpg is not a JPEG" in refusal(root)
    assert checks(root, tmp_path / "cache", skip_bad_images=True)[0] == [1]


DAMAGED_RECORDS = {
    "empty": lambda content: b"",
    "a list": lambda content: b"[]",
    "other columns": lambda content: b'{"path": ["train/cat/1.jpg"]}',
    "no text": lambda content: b"\xff",
    "deep": lambda content: b"[" * 200_000,
    "no paths": lambda content: content.replace(b"train/", b"\\u0000/").replace(b"test/", b"\\u0000/"),
    "no sizes": lambda content: content.replace(b"[16,16]", b"[[1],[2]]"),
}


@pytest.mark.parametrize("damage", DAMAGED_RECORDS.values(), ids=DAMAGED_RECORDS)
def test_a_damaged_record_of_checks_is_as_none(tmp_path, damage):
    root = twelve(tmp_path)
    at_rest(root)
    checks(root, tmp_path / "cache")
    (record,) = (tmp_path / "cache").glob("*.checked")
    record.write_bytes(damage(record.read_bytes()))
    assert checks(root, tmp_path / "cache")[0] == [12]


def test_what_another_version_has_checked_is_checked_again(tmp_path, monkeypatch):
    root = twelve(tmp_path)
    at_rest(root)
    checks(root, tmp_path / "cache")
    monkeypatch.setattr("stagebench.datasets.checked._checker", lambda: "another")
    assert checks(root, tmp_path / "cache")[0] == [12]
