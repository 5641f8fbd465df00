"""The manifest: every image of a data set, with its class and checksum, and a fingerprint over all of it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.files import write_whole

SPLITS = ("train", "test")
MANIFEST_NAME = "manifest.json"
_FORMAT = 1
_COLUMNS = ("path", "label", "bytes", "sha256")


@dataclass(frozen=True, slots=True)
class Image:
    """One JPEG file."""

    path: str
    """Path under the root, with forward slashes, such as `train/3/17.jpg`."""

    label: int
    """Index of its class in `Manifest.classes`."""

    bytes: int
    """Size of the file in bytes."""

    sha256: str
    """SHA-256 of the file's bytes, 64 hexadecimal digits."""

    modified_ns: int | None = field(default=None, compare=False)
    """When the file that was checked had been changed last, in ns; None where it was not checked just now."""

    picture_size: tuple[int, int] | None = field(default=None, compare=False)
    """Height and width of the picture in pixels; None where they are not known."""


@dataclass(frozen=True)
class Manifest:
    """What both frameworks read: the same files, in the same order, with the same labels."""

    root: Path
    """Absolute path of the folder that holds `train/` and `test/`."""

    classes: tuple[str, ...]
    """Names of the classes (their folders' names); the position is the label."""

    train: tuple[Image, ...]
    test: tuple[Image, ...]

    fingerprint: str
    """SHA-256 over the content (paths, labels, sizes and checksums), 64 hexadecimal digits."""

    file: Path
    """Where this manifest is stored; `Manifest.load` reads it again."""

    left_out: tuple[str, ...] = ()
    """What is wrong with each file of the data set that is not in it."""

    picture_size: tuple[int, int] | None = None
    """Height and width of all pictures, in pixels; None where they differ."""

    def some_of_training(self, count: int) -> tuple[Image, ...]:
        """Return so many training images, evenly spread over the data set, or all where it has fewer."""
        count = min(count, len(self.train))
        return tuple(self.train[number * len(self.train) // count] for number in range(count))

    @classmethod
    def load(cls, file: Path) -> "Manifest":
        """Read a stored manifest; the images themselves are not looked at.

        Raises:
            DatasetError: the file is missing, unreadable or not a manifest of this version.

        """
        try:
            data = json.loads(file.read_bytes())
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r} instead of {_FORMAT}")
            train, test = (_from_columns(data[split]) for split in SPLITS)
            # An absolute root replaces the manifest's folder, a relative one moves with it.
            root = file.parent / data["root"]
            left_out = tuple(data.get("left_out", ()))
            size = tuple(data.get("picture_size") or ()) or None
            return cls(root, tuple(data["classes"]), train, test, data["fingerprint"], file, left_out, size)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{file} cannot be read as a manifest: {error!r}") from error

    def save(self) -> None:
        """Write the manifest to `self.file`, which appears whole or not at all.

        Raises:
            OSError: it cannot be written; those who prepare a data set say what that means for it.

        """
        beside_images = self.root == self.file.parent
        data = {
            "format": _FORMAT,
            "root": "" if beside_images else str(self.root),
            "classes": self.classes,
            "fingerprint": self.fingerprint,
            "left_out": self.left_out,
            "picture_size": self.picture_size,
            **{split: to_columns(self.images(split), _COLUMNS) for split in SPLITS},
        }
        write_whole(self.file, json.dumps(data, separators=(",", ":")).encode("ascii"))

    def images(self, split: str) -> tuple[Image, ...]:
        """Return the images of `"train"` or `"test"`."""
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
        return self.train if split == "train" else self.test

    def paths(self, split: str) -> list[str]:
        """Return the absolute paths of a split's images, in manifest order."""
        root = self.root.as_posix()
        return [f"{root}/{image.path}" for image in self.images(split)]

    def labels(self, split: str) -> list[int]:
        """Return the class indices of a split's images, in manifest order."""
        return [image.label for image in self.images(split)]


def fingerprint_of(train: Iterable[Image], test: Iterable[Image]) -> str:
    """Return the SHA-256 over paths, labels, sizes and checksums of both splits, in hexadecimal."""
    digest = hashlib.sha256()
    for split, images in zip(SPLITS, (train, test), strict=True):
        digest.update(f"{split}\n".encode())
        for image in images:
            line = f"{image.path}\0{image.label}\0{image.bytes}\0{image.sha256}\n"
            digest.update(line.encode(errors="surrogatepass"))  # file names need not be valid UTF-8
    return digest.hexdigest()


def common_size(images: Iterable[Image]) -> tuple[int, int] | None:
    """Return height and width of the pictures, where all have the same."""
    sizes = {image.picture_size for image in images}
    return sizes.pop() if len(sizes) == 1 else None


def to_columns(images: Iterable[Image], columns: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values of each column: a third smaller than one object an image, read twice as fast."""
    return {column: [getattr(image, column) for image in images] for column in columns}


def _from_columns(columns: dict[str, list[Any]]) -> tuple[Image, ...]:
    rows = zip(*(columns[column] for column in _COLUMNS), strict=True)
    return tuple(Image(*row) for row in rows)
