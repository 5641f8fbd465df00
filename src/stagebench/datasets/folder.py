"""A user's own tree of class folders, checked image by image and never written to."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stagebench.datasets.cache import cache_name
from stagebench.datasets.cifar_archive import KINDS
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.image_file import checked_image
from stagebench.datasets.manifest import SPLITS, Image, Manifest, fingerprint_of
from stagebench.datasets.names import listed, shown, sort_files, sort_names
from stagebench.datasets.parallel import Progress, chunks, processes_for, run_tasks
from stagebench.datasets.request import DatasetRequest

_LAYOUT = "allowed are train/<class>/*.jpg and test/<class>/*.jpg"
_FILES_PER_PROCESS = 3000  # checking one of 64x64 takes about 0.15 ms, starting a process 0.3 s
_FILES_PER_TASK = 100


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of the user's tree; it is stored in the cache folder.

    Hidden files and folders (a leading dot) are ignored. Every other file must be a JPEG that decodes;
    with `skip_bad_images`, those that do not are left out, and the manifest says which.

    Raises:
        DatasetError: the tree is not laid out as allowed, a file is not a whole JPEG, or a class has none.

    """
    root = Path(request.source).expanduser().absolute()
    if not request.source or not root.is_dir():
        archives = ", ".join(f"{kind}:ARCHIVE" for kind in KINDS)
        raise DatasetError(
            f"the data set {request.source!r} is no folder;"
            f" allowed are synthetic, {archives} and the path of a folder"
        )
    try:
        classes = _class_names(root)
        files = {split: _files(root, split, classes) for split in SPLITS}
    except OSError as error:
        where = shown(error.filename or root)
        raise DatasetError(f"{where} cannot be listed: {error.strerror}") from error
    everything = [file for split in SPLITS for file in files[split]]
    checked = run_tasks(
        partial(_check, root),
        chunks(everything, _FILES_PER_TASK),
        processes=processes_for(len(everything), _FILES_PER_PROCESS),
        what="checking images",
        total=len(everything),
        progress=progress,
    )
    bad = [found for found in checked if isinstance(found, str)]
    if bad and not request.skip_bad_images:
        advice = "--skip-bad-images leaves such files out, for all frameworks alike"
        raise DatasetError(f"{listed(bad, f'images of {shown(root)} cannot be used')}; {advice}")
    count = len(files["train"])
    train, test = (
        tuple(image for image in part if isinstance(image, Image))
        for part in (checked[:count], checked[count:])
    )
    _check_classes(root, classes, {"train": train, "test": test})
    fingerprint = fingerprint_of(train, test)
    # Named by content too: a session that still reads the manifest of an earlier content keeps its file.
    name = cache_name("folder", root=str(root), content=fingerprint)
    manifest = Manifest(
        root, tuple(classes), train, test, fingerprint, cache_folder / f"{name}.json", tuple(bad)
    )
    try:
        manifest.save()
    except OSError as error:
        raise DatasetError(
            f"the manifest of {shown(root)} cannot be stored in {shown(manifest.file)}: {error.strerror}"
        ) from error
    return manifest


def _class_names(root: Path) -> list[str]:
    found = {}
    for split in SPLITS:
        if not (root / split).is_dir():
            raise DatasetError(f"{shown(root)} has no folder {split}/; {_LAYOUT}")
        entries = _visible(root / split)
        for entry in entries:
            if not _is_folder(entry):
                raise DatasetError(f"{shown(entry.path)} is not in a class folder; {_LAYOUT}")
        if not entries:
            raise DatasetError(f"{shown(root / split)} has no class folder; {_LAYOUT}")
        found[split] = {entry.name for entry in entries}
    for split, other in (SPLITS, SPLITS[::-1]):
        if missing := sort_names(found[other] - found[split]):
            raise DatasetError(
                f"{shown(root / split)} lacks the class {missing[0]!r} that {other}/ has;"
                " both need the same class folders"
            )
    if len(found["train"]) == 1:
        raise DatasetError(f"{shown(root)} has one class; allowed are 2 or more")
    return sort_names(found["train"])


def _files(root: Path, split: str, classes: Sequence[str]) -> list[tuple[str, int]]:
    """Return relative path and label of every image of a split, class by class."""
    files = []
    for label, name in enumerate(classes):
        folder = root / split / name
        entries = _visible(folder)
        for entry in entries:
            if _is_folder(entry):
                raise DatasetError(f"{shown(entry.path)} is a folder in a class folder; {_LAYOUT}")
        if not entries:
            raise DatasetError(f"{shown(folder)} is empty; every class needs an image")
        files += [(f"{split}/{name}/{file}", label) for file in sort_files(e.name for e in entries)]
    return files


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _check_classes(root: Path, classes: Sequence[str], images: dict[str, tuple[Image, ...]]) -> None:
    for split in SPLITS:
        left = {image.label for image in images[split]}
        for label, name in enumerate(classes):
            if label not in left:
                folder = shown(root / split / name)
                raise DatasetError(f"{folder} holds no image that can be used; every class needs one")


def _check(root: Path, files: Sequence[tuple[str, int]]) -> list[Image | str]:
    """Return each image, or what is wrong with its file."""
    return [checked_image(root, path, label) for path, label in files]
