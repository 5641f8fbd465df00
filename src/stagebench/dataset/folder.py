"""A user's own tree of class folders, checked image by image and never written to."""

import hashlib
import io
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from stagebench.dataset.cache import cache_name
from stagebench.dataset.errors import DatasetError
from stagebench.dataset.manifest import SPLITS, Image, Manifest, fingerprint_of
from stagebench.dataset.parallel import Progress, chunks, processes_for, run_tasks
from stagebench.dataset.request import DatasetRequest

_LAYOUT = "allowed are train/<class>/*.jpg and test/<class>/*.jpg"
_FILES_PER_PROCESS = 3000  # checking one of 64x64 takes about 0.1 ms, starting a process 0.3 s
_FILES_PER_TASK = 100


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of the user's tree; it is stored in the cache folder.

    Hidden files and folders (a leading dot) are ignored. Every other file must be a JPEG that decodes.

    Raises:
        DatasetError: the tree is not laid out as allowed, or a file is not a whole JPEG.

    """
    root = Path(request.source).expanduser().absolute()
    if not request.source or not root.is_dir():
        raise DatasetError(
            f"the data set {request.source!r} is no folder;"
            " allowed are synthetic, cifar100:ARCHIVE and the path of a folder"
        )
    try:
        classes = _class_names(root)
        files = {split: _files(root, split, classes) for split in SPLITS}
    except OSError as error:
        raise DatasetError(f"{error.filename or root} cannot be listed: {error.strerror}") from error
    everything = [file for split in SPLITS for file in files[split]]
    images = run_tasks(
        partial(_check, root),
        chunks(everything, _FILES_PER_TASK),
        processes=processes_for(len(everything), _FILES_PER_PROCESS),
        what="checking images",
        total=len(everything),
        progress=progress,
    )
    train, test = tuple(images[: len(files["train"])]), tuple(images[len(files["train"]) :])
    fingerprint = fingerprint_of(train, test)
    # Named by content too: a session that still reads the manifest of an earlier content keeps its file.
    file = cache_folder / f"{cache_name('folder', root=str(root), content=fingerprint)}.json"
    manifest = Manifest(root, tuple(classes), train, test, fingerprint, file)
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        manifest.save()
    except OSError as error:
        raise DatasetError(f"the manifest of {root} cannot be stored in {file}: {error}") from error
    return manifest


def sort_names(names: Iterable[str]) -> list[str]:
    """Return names in numeric order if all are whole numbers, else in alphabetical (code point) order."""
    names = list(names)
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def sort_files(names: Iterable[str]) -> list[str]:
    """Return file names in natural order: runs of digits compare as numbers (`2.jpg` before `10.jpg`)."""

    def key(name: str) -> tuple[list[tuple[int, str]], str]:
        # Splitting by a group puts text at even and digits at odd places, so equals meet equals.
        parts = re.split(r"([0-9]+)", name)
        return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], name

    return sorted(names, key=key)


def _class_names(root: Path) -> list[str]:
    found = {}
    for split in SPLITS:
        if not (root / split).is_dir():
            raise DatasetError(f"{root} has no folder {split}/; {_LAYOUT}")
        entries = _visible(root / split)
        for entry in entries:
            if not entry.is_dir():
                raise DatasetError(f"{entry.path} is not in a class folder; {_LAYOUT}")
        if not entries:
            raise DatasetError(f"{root / split} has no class folder; {_LAYOUT}")
        found[split] = {entry.name for entry in entries}
    for split, other in (SPLITS, SPLITS[::-1]):
        if missing := sort_names(found[other] - found[split]):
            raise DatasetError(
                f"{root / split} lacks the class {missing[0]!r} that {other}/ has;"
                " both need the same class folders"
            )
    return sort_names(found["train"])


def _files(root: Path, split: str, classes: Sequence[str]) -> list[tuple[str, int]]:
    """Return relative path and label of every image of a split, class by class."""
    files = []
    for label, name in enumerate(classes):
        entries = _visible(root / split / name)
        for entry in entries:
            if entry.is_dir():
                raise DatasetError(f"{entry.path} is a folder in a class folder; {_LAYOUT}")
        if not entries:
            raise DatasetError(f"{root / split / name} is empty; every class needs an image")
        files += [(f"{split}/{name}/{file}", label) for file in sort_files(e.name for e in entries)]
    return files


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _check(root: Path, files: Sequence[tuple[str, int]]) -> list[Image]:
    return [_checked_image(root, path, label) for path, label in files]


def _checked_image(root: Path, path: str, label: int) -> Image:
    file = root / path
    if file.exists() and not file.is_file():  # opening a pipe would wait for ever
        raise DatasetError(f"{file} is not a regular file; {_LAYOUT}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from error
    _decode(file, content)
    return Image(path, label, len(content), hashlib.sha256(content).hexdigest())


def _decode(file: Path, content: bytes) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # Pillow's default, which other code may have changed
    with warnings.catch_warnings():
        warnings.simplefilter("error", PillowImage.DecompressionBombWarning)
        try:
            with PillowImage.open(io.BytesIO(content), formats=["JPEG"]) as picture:
                picture.load()
                mode = picture.mode
        except UnidentifiedImageError as error:
            raise DatasetError(f"{file} is not a JPEG; every file of a class must be one") from error
        except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
            limit = PillowImage.MAX_IMAGE_PIXELS
            raise DatasetError(f"{file} is too large; allowed are {limit} pixels") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(f"{file} is a damaged JPEG: {error}") from error
    if mode not in ("RGB", "L"):
        # Decoders disagree on how to turn four inks into three colours.
        raise DatasetError(f"{file} is a JPEG in {mode}; allowed are colour (YCbCr) and greyscale")
