"""A prepared tree is whole or absent, is checked before it is used again, and is made anew when damaged."""

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import Image, Manifest, fingerprint_of
from stagebench.datasets.parallel import run_tasks
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

SMALL = DatasetRequest("synthetic", train_images=6, test_images=4, classes=2, image_size=8)

PREPARE = """
import sys
from pathlib import Path
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

if __name__ == "__main__":
    request = DatasetRequest("synthetic", train_images=int(sys.argv[2]), test_images=100, image_size=8)
    prepare(request, Path(sys.argv[1]), lambda what, done, total: print(what, done, total, flush=True))
"""


def quiet(what, done, total):
    pass


def small_tree(cache_folder: Path) -> Manifest:
    return prepare(SMALL, cache_folder, quiet)


def preparing(tmp_path: Path, images: int) -> subprocess.Popen:
    """Start a process that prepares a tree; its standard output tells the progress."""
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)
    command = [sys.executable, script, tmp_path / "cache", str(images)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def trees(cache_folder: Path) -> list[Path]:
    return [path for path in cache_folder.iterdir() if not path.name.startswith(".")]


def hidden_folders(cache_folder: Path) -> list[Path]:
    return [path for path in cache_folder.iterdir() if path.name.startswith(".") and path.is_dir()]


def test_a_whole_tree_is_used_again_as_it_is(tmp_path):
    first = small_tree(tmp_path)
    before = {path: Path(path).stat().st_ino for path in first.paths("train")}
    assert small_tree(tmp_path) == first
    assert {path: Path(path).stat().st_ino for path in first.paths("train")} == before


def test_what_is_asked_for_names_the_tree(tmp_path):
    changes = [{}, {"train_images": 7}, {"test_images": 5}, {"classes": 3}, {"image_size": 9}, {"seed": 26}]
    roots = {prepare(dataclasses.replace(SMALL, **change), tmp_path, quiet).root for change in changes}
    assert len(roots) == len(changes)


def _flip_a_bit(manifest):
    file = Path(manifest.paths("train")[0])
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)


def _edit_the_manifest(manifest):
    data = json.loads(manifest.file.read_text())
    data["train"]["label"][0] ^= 1
    manifest.file.write_text(json.dumps(data))


DAMAGES = {
    "a changed bit": _flip_a_bit,
    "a shorter file": lambda manifest: os.truncate(manifest.paths("test")[0], 100),
    "a missing file": lambda manifest: Path(manifest.paths("test")[0]).unlink(),
    "an extra file": lambda manifest: (manifest.root / "train" / "1" / "99.jpg").touch(),
    "an extra hidden file": lambda manifest: (manifest.root / ".extra").touch(),
    "no manifest": lambda manifest: manifest.file.unlink(),
    "an empty manifest": lambda manifest: os.truncate(manifest.file, 0),
    "a changed label in the manifest": _edit_the_manifest,
}


@pytest.mark.fault("a prepared data set with {damage}", "made anew")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tree_is_made_anew(tmp_path, damage):
    first = small_tree(tmp_path)
    DAMAGES[damage](first)
    again = small_tree(tmp_path)
    assert again == first
    for image in again.train + again.test:
        assert (again.root / image.path).stat().st_size == image.bytes, image.path
    assert not hidden_folders(tmp_path)


def test_an_interrupted_build_leaves_nothing(tmp_path):
    def interrupt(what, done, total):
        assert not trees(tmp_path), "the tree is visible before it is whole"
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(SMALL, tmp_path, interrupt)
    assert not trees(tmp_path)
    assert not hidden_folders(tmp_path)


@pytest.mark.fault(
    "`kill -9` while a data set is made",
    "no tree, no process; the next build removes the rest",
)
def test_a_killed_build_leaves_no_tree_and_no_process_and_the_next_build_removes_its_remains(tmp_path):
    build = preparing(tmp_path, images=200_000)
    for line in build.stdout:
        if int(line.split()[-2]) > 0:
            break
    helpers = psutil.Process(build.pid).children(recursive=True)
    build.kill()
    build.wait()
    _, alive = psutil.wait_procs(helpers, timeout=10)
    assert not alive, f"processes outlive the build: {alive}"
    cache_folder = tmp_path / "cache"
    assert not trees(cache_folder)
    assert len(hidden_folders(cache_folder)) == 1
    small_tree(cache_folder)
    assert len(trees(cache_folder)) == 1
    assert not hidden_folders(cache_folder)


def test_the_remains_of_a_process_that_is_alive_are_left_alone(tmp_path):
    building = tmp_path / ".synthetic-0.1234.building"
    building.mkdir()
    with (tmp_path / ".synthetic-0.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        small_tree(tmp_path)
        assert building.exists()
    prepare(dataclasses.replace(SMALL, seed=1), tmp_path, quiet)
    assert not building.exists()


@pytest.mark.fault("two sessions that prepare one data set", "one waits, both have it")
def test_two_processes_that_prepare_the_same_tree_both_succeed(tmp_path):
    both = [preparing(tmp_path, images=1500) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    made = ["making synthetic images 1600 1600" in output for output in outputs]
    assert sorted(made) == [False, True], f"made by {sum(made)} of 2 processes"
    assert len(trees(tmp_path / "cache")) == 1


def test_two_threads_that_prepare_the_same_tree_both_succeed(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(small_tree(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]


def test_a_tree_can_be_moved(tmp_path):
    first = small_tree(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = Manifest.load(tmp_path / "there" / first.root.name / first.file.name)
    assert (moved.fingerprint, moved.train) == (first.fingerprint, first.train)
    assert all(Path(path).is_file() for path in moved.paths("train"))


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    tree = DatasetRequest(str(small_tree(tmp_path / "cache").root))
    for request, kind in ((SMALL, "synthetic"), (tree, "folder")):
        with pytest.raises(DatasetError, match=f"cannot be stored in {tmp_path}/file/cache/{kind}-"):
            prepare(request, tmp_path / "file" / "cache", quiet)


def _die(task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.fault("a process that prepares the data set and dies", "one sentence")
def test_a_helper_process_that_dies_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="a process that prepared the data set died"):
        run_tasks(_die, [1, 2], processes=1, what="dying", total=2, progress=quiet)


def test_the_cache_folder_is_the_users_unless_the_environment_names_one(monkeypatch):
    monkeypatch.setenv("STAGEBENCH_CACHE", "~/elsewhere")
    assert default_cache_folder() == Path.home() / "elsewhere"
    monkeypatch.setenv("STAGEBENCH_CACHE", "")
    assert default_cache_folder().name == "stagebench"


names = st.text(st.characters(exclude_characters="/\0", categories=("L", "N", "P", "Cs")), min_size=1)
images = st.lists(
    st.builds(
        Image,
        path=names.map(lambda name: f"train/{name}/1.jpg"),
        label=st.integers(0, 10**4),
        bytes=st.integers(0, 10**9),
        sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    )
).map(tuple)


sizes = st.none() | st.tuples(st.integers(1, 10**4), st.integers(1, 10**4))


@given(st.lists(names).map(tuple), images, images, st.booleans(), sizes)
def test_a_manifest_survives_storage(tmp_path_factory, classes, train, test, beside_images, size):
    folder = tmp_path_factory.mktemp("manifest")
    root = folder if beside_images else Path("/data/set")
    fingerprint, file = fingerprint_of(train, test), folder / "manifest.json"
    stored = Manifest(root, classes, train, test, fingerprint, file, picture_size=size)
    stored.save()
    assert Manifest.load(stored.file) == stored
    assert list(folder.iterdir()) == [stored.file]


@given(images.filter(bool), st.data())
def test_the_fingerprint_covers_every_field_order_and_split(images, data):
    before = fingerprint_of(images, ())
    place = data.draw(st.integers(0, len(images) - 1))
    image = images[place]
    for changed in (
        dataclasses.replace(image, path=image.path + "x"),
        dataclasses.replace(image, label=image.label + 1),
        dataclasses.replace(image, bytes=image.bytes + 1),
        dataclasses.replace(image, sha256="0" * 63 + ("1" if image.sha256[-1] == "0" else "0")),
    ):
        assert fingerprint_of((*images[:place], changed, *images[place + 1 :]), ()) != before
    assert fingerprint_of((), images) != before
    if images != images[::-1]:
        assert fingerprint_of(images[::-1], ()) != before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 0}', "\xff"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, content):
    file = tmp_path / "manifest.json"
    file.write_text(content, encoding="latin1")
    for path in (file, tmp_path / "missing.json"):
        with pytest.raises(DatasetError, match=f"{path} cannot be read as a manifest"):
            Manifest.load(path)


def test_only_the_two_splits_exist(tmp_path):
    with pytest.raises(ValueError, match="split 'validation' is not one of train, test"):
        small_tree(tmp_path).paths("validation")
