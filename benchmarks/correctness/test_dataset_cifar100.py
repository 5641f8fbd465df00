"""The CIFAR-100 archive becomes the article's JPEG tree, and a hostile archive becomes an error."""

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from stagebench.datasets.cifar100_archive import read_labels, read_split
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

MEMBERS = ("cifar-100-python/meta", "cifar-100-python/test", "cifar-100-python/train")


def quiet(what, done, total):
    pass


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`: as (SHORT_)BINSTRING."""

    def _save_bytes(self, text):
        short = len(text) < 256
        head = b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))
        self.write(head + text)
        self.memoize(text)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: _save_bytes}


def python2_pickle(value) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2, fix_imports=True).dump(value)
    # numpy 2 names its parts numpy._core; the official archive is older than that.
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python3_pickle(value) -> bytes:
    return pickle.dumps(value, protocol=2)


def batch(count: int, seed: int = 0) -> dict:
    labels = [(3, 20, 99)[i % 3] for i in range(count)]
    return {
        b"data": np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8),
        b"fine_labels": labels,
        b"coarse_labels": [label // 5 for label in labels],
        b"filenames": [b"picture_%d.png" % i for i in range(count)],
        b"batch_label": b"training batch 1 of 1",
    }


def official_members(pickled=python2_pickle) -> dict[str, bytes]:
    return {
        "cifar-100-python/file.txt~": b"",
        "cifar-100-python/train": pickled(batch(60)),
        "cifar-100-python/test": pickled(batch(12, seed=1)),
        "cifar-100-python/meta": pickled({b"fine_label_names": [b"apple"] * 100}),
    }


def archive(path: Path, members: dict[str, bytes], extra: list[tarfile.TarInfo] = ()) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo("cifar-100-python")
        folder.type = tarfile.DIRTYPE
        for info in (folder, *extra):
            tar.addfile(info)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_labels(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_images_are_upscaled_and_stored_as_the_article_does(tmp_path):
    source = archive(tmp_path / "cifar-100-python.tar.gz", official_members())
    calls = []
    manifest = prepare(
        DatasetRequest(f"cifar100:{source}"), tmp_path / "cache", lambda *call: calls.append(call)
    )
    assert manifest.classes == ("3", "20", "99")
    assert (len(manifest.train), len(manifest.test)) == (60, 12)
    assert ("upscaling CIFAR-100", 72, 72) in calls
    original = batch(60)
    for image in manifest.train:
        split, folder, name = image.path.split("/")
        index = int(name.removesuffix(".jpg"))
        assert (split, int(folder)) == ("train", original[b"fine_labels"][index])
        assert manifest.classes[image.label] == folder
        pixels = original[b"data"][index].reshape(3, 32, 32).transpose(1, 2, 0)
        expected = io.BytesIO()
        Image.fromarray(pixels).resize((64, 64)).save(expected, "JPEG")
        assert (manifest.root / image.path).read_bytes() == expected.getvalue(), image.path


def test_another_image_size_is_another_tree(tmp_path):
    source = f"cifar100:{archive(tmp_path / 'a.tar.gz', official_members())}"
    small = prepare(DatasetRequest(source, image_size=32), tmp_path / "cache", quiet)
    again = prepare(DatasetRequest(source, image_size=32), tmp_path / "cache", quiet)
    large = prepare(DatasetRequest(source, image_size=48), tmp_path / "cache", quiet)
    assert small == again
    assert small.root != large.root
    assert Image.open(large.paths("test")[0]).size == (48, 48)


@pytest.mark.parametrize("pickled", [python2_pickle, python3_pickle])
def test_pickles_of_python_2_and_3_hold_the_same_images(tmp_path, pickled):
    path = archive(tmp_path / "a.tar.gz", official_members(pickled))
    split = read_split(path, "train")
    expected = batch(60)[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert split.images.dtype == np.uint8
    assert np.array_equal(split.images, expected)
    assert split.labels == batch(60)[b"fine_labels"]


def test_the_testers_pickles_are_what_python_2_wrote():
    written = python2_pickle(batch(2))
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in written
    assert b"U\x0bfine_labels" in written
    assert b"_codecs" not in written


class Gadget:
    """Runs a command when unpickled by `pickle.load`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.fault("a CIFAR-100 archive whose {member} pickle runs a command", "refused, runs nothing")
@pytest.mark.parametrize("member", ["train", "test"])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(tmp_path, member):
    trace = tmp_path / "trace"
    members = official_members()
    content = {**batch(60), b"batch_label": Gadget(os.system, f"touch {trace}")}
    members[f"cifar-100-python/{member}"] = python2_pickle(content)
    path = archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(DatasetError, match=f"{member} is refused: its pickle asks for posix.system"):
        prepare(DatasetRequest(f"cifar100:{path}"), tmp_path / "cache", quiet)
    assert not trace.exists()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.suffix != ".lock"]


@pytest.mark.parametrize(
    ("opcodes", "name"),
    [
        (b"cbuiltins\neval\n(U\x011tR.", "builtins.eval"),
        (b"c__builtin__\neval\n(U\x011tR.", "__builtin__.eval"),
        (b"cnumpy\nload\n(U\x011tR.", "numpy.load"),
        (b"cnumpy.testing._private.utils\nrunstring\n(U\x01111tR.", "numpy.testing._private.utils.runstring"),
        (b"(ios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dtype\x93.", "numpy.ndarray.dtype"),
    ],
)
def test_every_name_but_those_of_the_format_is_refused(tmp_path, opcodes, name):
    members = {**official_members(), "cifar-100-python/train": opcodes}
    assert f"asks for {name}" in refusal(archive(tmp_path / "a.tar.gz", members))


def member(name: str, type: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info


@pytest.mark.fault("a CIFAR-100 archive with `../`, links, devices", "refused, writes nothing")
@pytest.mark.parametrize(
    "extra",
    [
        member("../outside"),
        member("cifar-100-python/../../outside"),
        member("/tmp/stagebench-outside"),  # noqa: S108
        member("cifar-100-python/train", tarfile.SYMTYPE, "/etc/passwd"),
        member("cifar-100-python/test", tarfile.LNKTYPE, "cifar-100-python/train"),
        member("cifar-100-python/meta", tarfile.FIFOTYPE),
        member("cifar-100-python/setup.py"),
        member("cifar-100-python/train", tarfile.DIRTYPE),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_a_member_that_does_not_belong_is_refused_and_nothing_is_written(tmp_path, extra):
    path = archive(tmp_path / "a.tar.gz", official_members(), [extra])
    assert f"holds '{extra.name}'; allowed are" in refusal(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("missing", MEMBERS)
def test_a_missing_member_is_named(tmp_path, missing):
    members = official_members()
    del members[missing]
    assert f"lacks {missing}" in refusal(archive(tmp_path / "a.tar.gz", members))


def test_a_member_that_comes_twice_is_refused(tmp_path):
    path = archive(tmp_path / "a.tar.gz", official_members(), [member("cifar-100-python/file.txt~")])
    assert "holds cifar-100-python/file.txt~ twice" in refusal(path)


@pytest.mark.fault("a CIFAR-100 archive with a huge member", "refused")
def test_a_member_of_unreasonable_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("stagebench.datasets.cifar100_archive._MAX_MEMBER_BYTES", 1000)
    message = refusal(archive(tmp_path / "a.tar.gz", official_members()))
    assert "cifar-100-python/train has" in message
    assert "allowed are 1000" in message


@pytest.mark.fault("a CIFAR-100 archive that is cut", "refused")
@pytest.mark.parametrize("keep", [0, 5, 500, 0.5, 0.9])
def test_an_archive_cut_anywhere_is_refused(tmp_path, keep):
    path = archive(tmp_path / "a.tar.gz", official_members())
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    refusal(path)


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04", b"\x1f\x8b" + b"x" * 100])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    assert "is damaged or not a tar.gz archive" in refusal(path)


@pytest.mark.parametrize("source", ["cifar100:", "cifar100:nowhere.tar.gz"])
def test_a_missing_archive_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=f"the archive {tmp_path}.* cannot be read"):
        prepare(DatasetRequest(source), tmp_path / "cache", quiet)


def changed(**changes) -> dict:
    return {**batch(60), **{key.encode(): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, needed is a dictionary"),
        ({b"fine_labels": []}, "has no array 'data'"),
        (changed(data=b"abc"), "has no array 'data'"),
        (changed(data=np.zeros((60, 3071), np.uint8)), "shape (60, 3071)"),
        (changed(data=np.zeros((60, 3072), np.float32)), "has 'data' of type"),
        (changed(data=np.zeros((60, 32, 32, 3), np.uint8)), "shape (60, 32, 32, 3)"),
        (changed(fine_labels=[0] * 59), "needs a list 'fine_labels' of 60 labels"),
        (changed(fine_labels=[0] * 59 + [100]), "has the fine label 100, allowed are 0 to 99"),
        (changed(fine_labels=[0] * 59 + ["7"]), "has the fine label '7'"),
    ],
)
def test_content_that_is_not_cifar_100_is_refused(tmp_path, content, message):
    members = {**official_members(), "cifar-100-python/train": python2_pickle(content)}
    assert message in refusal(archive(tmp_path / "a.tar.gz", members))


def test_splits_of_different_classes_are_refused(tmp_path):
    members = {
        **official_members(),
        "cifar-100-python/test": python2_pickle({**batch(12), b"fine_labels": [3] * 12}),
    }
    path = archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(DatasetError, match="has 3 classes in train and 1 in test"):
        prepare(DatasetRequest(f"cifar100:{path}"), tmp_path / "cache", quiet)
