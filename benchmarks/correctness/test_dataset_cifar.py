"""The archives of CIFAR become the article's JPEG tree, and a hostile archive becomes an error."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cifar_archives import OTHERS, TEN, archive, batch, official_members, python2_pickle, python3_pickle
from stagebench.datasets.cifar_archive import read_labels, read_split
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

MEMBERS = ("cifar-100-python/test", "cifar-100-python/train")


def quiet(what, done, total):
    pass


def refusal(path: Path, kind: str = "cifar100") -> str:
    with pytest.raises(DatasetError) as caught:
        read_labels(kind, path)
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
    assert ("upscaling images", 72, 72) in calls
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


@pytest.mark.parametrize("name", OTHERS)
def test_every_official_archive_is_read(tmp_path, name):
    kind, members = OTHERS[name]
    path = archive(tmp_path / "a.tar.gz", members)
    content = (
        TEN if kind == "cifar10" else {key: [*batch(60)[key], *batch(12, seed=1)[key]] for key in batch(1)}
    )
    labels = content[b"labels" if kind == "cifar10" else b"fine_labels"]
    planes = np.array(content[b"data"]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    train, test = (read_split(kind, path, split) for split in ("train", "test"))
    manifest = prepare(DatasetRequest(f"{kind}:{path}", image_size=32), tmp_path / "cache", quiet)

    assert np.array_equal(np.concatenate([train.images, test.images]), planes)
    assert train.labels + test.labels == labels
    assert manifest.classes == tuple(map(str, sorted(set(labels))))
    assert [int(manifest.classes[image.label]) for image in manifest.train + manifest.test] == labels
    assert [int(Path(image.path).stem) for image in manifest.train] == [*range(60)]


@pytest.mark.fault("an archive of CIFAR-10 read as CIFAR-100", "refused with what it is")
@pytest.mark.parametrize("name", ["CIFAR-10", "CIFAR-10, binary"])
def test_an_archive_of_the_other_data_set_is_refused_with_its_own_name(tmp_path, name):
    path = archive(tmp_path / "a.tar.gz", OTHERS[name][1])

    assert refusal(path) == f"{path} is no archive of cifar100; --dataset=cifar10:{path} reads it"


BAD_RECORDS = {
    "a cut record": (
        lambda good: good[:-1],
        f"has {12 * 3073 - 1} bytes, needed are whole records of 3073 bytes",
    ),
    "a label of no class": (lambda good: b"\x0a" + good[1:], "has the label 10, allowed are 0 to 9"),
}


@pytest.mark.fault("a binary archive of CIFAR-10 with {fault}", "refused")
@pytest.mark.parametrize("fault", BAD_RECORDS)
def test_records_that_are_not_of_cifar_10_are_refused(tmp_path, fault):
    change, message = BAD_RECORDS[fault]
    members = dict(OTHERS["CIFAR-10, binary"][1])
    name = "cifar-10-batches-bin/data_batch_3.bin"
    members[name] = change(members[name])

    assert f"{name} {message}" in refusal(archive(tmp_path / "a.tar.gz", members), "cifar10")


@pytest.mark.parametrize("name", OTHERS)
def test_a_batch_that_an_archive_lacks_is_named(tmp_path, name):
    kind, members = OTHERS[name]
    for missing in [
        member for member in members if "batch_" in member or member.endswith(("train.bin", "test.bin"))
    ]:
        rest = {member: content for member, content in members.items() if member != missing}
        assert f"lacks {missing}; needed are " in refusal(archive(tmp_path / "a.tar.gz", rest), kind)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """Return the bytes of a binary archive of CIFAR-10; the first ten are a header without a checksum."""
    path = archive(tmp_path_factory.mktemp("zipped") / "a.tar.gz", OTHERS["CIFAR-10, binary"][1])
    return gzip.compress(gzip.decompress(path.read_bytes()))


@pytest.mark.fault("an archive of CIFAR with a bit changed anywhere", "refused")
@given(place=st.floats(0, 1), bit=st.integers(0, 7))
def test_an_archive_with_a_changed_bit_is_refused(zipped, tmp_path_factory, place, bit):
    path = tmp_path_factory.getbasetemp() / "changed.tar.gz"
    content = bytearray(zipped)
    unused = len(content) - 9  # the last byte of the stream, of which some bits say nothing
    number = 10 + round(place * (len(content) - 11))
    content[number - (number == unused)] ^= 1 << bit
    path.write_bytes(content)

    refusal(path, "cifar10")


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
    split = read_split("cifar100", path, "train")
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


def hidden_in_a_member(path):
    archive(path, {**official_members(), "cifar-100-python/meta": bytes(2**22)})


def hidden_in_a_header(path):
    """Write an archive with a comment of some MB in front of its first file."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("cifar-100-python/meta")
        info.pax_headers = {"comment": " " * 2**22}
        tar.addfile(info)


def hidden_after_the_end(path):
    archive(path, official_members())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(2**22)))


@pytest.mark.fault(
    "an archive of CIFAR that unpacks to far more than it should", "refused, and read no further"
)
@pytest.mark.parametrize("hide", [hidden_in_a_member, hidden_in_a_header, hidden_after_the_end])
def test_an_archive_that_unpacks_to_far_too_much_is_read_no_further(tmp_path, monkeypatch, hide):
    monkeypatch.setattr("stagebench.datasets.cifar_archive._MAX_BYTES", 2**20)
    hide(tmp_path / "a.tar.gz")

    assert "a.tar.gz unpacks to more than 1048576 bytes" in refusal(tmp_path / "a.tar.gz")


@pytest.mark.fault("a CIFAR-100 archive that is cut", "refused")
@pytest.mark.parametrize("keep", [0, 5, 500, 0.5, 0.9, -8, -1])
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
        (changed(fine_labels=[0] * 59 + [100]), "has the label 100, allowed are 0 to 99"),
        (changed(fine_labels=[0] * 59 + ["7"]), "has the label '7'"),
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
