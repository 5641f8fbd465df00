"""The official archives of CIFAR-10 and CIFAR-100, read without unpacking a file.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from stagebench.datasets.cifar_batch import Batch, joined, read_records
from stagebench.datasets.cifar_pickle import read_pickle
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS

_MAX_BYTES = 2**29  # the official archives unpack to 187 million bytes


class _Unpacked(gzip.GzipFile):
    """What an archive unpacks to. However it hides more than an official one has, it is read no further."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if self.tell() > _MAX_BYTES:
            raise DatasetError(
                f"{self.name} unpacks to more than {_MAX_BYTES} bytes, which no official archive does"
            )
        return content


@dataclass(frozen=True)
class _Layout:
    """What one of the official archives holds."""

    folder: str
    """In which all its files are."""
    classes: int
    splits: Mapping[str, Sequence[str]]
    """Of each split, the files with its images, in their order; all are needed."""
    others: Sequence[str]
    """Files that may be there, and are not read."""
    read: Callable[[str, IO[bytes]], Batch]
    """Reads a file with images; is told what to call it in errors."""

    def paths(self, *splits: str) -> list[str]:
        """Return the paths in the archive of the files with images."""
        return [f"{self.folder}/{name}" for split in splits for name in self.splits[split]]

    @property
    def allowed(self) -> set[str]:
        """The paths of all files that it may hold."""
        return {*self.paths(*SPLITS), *(f"{self.folder}/{name}" for name in self.others)}


def _in_batches(suffix: str) -> Mapping[str, Sequence[str]]:
    """Return the files of CIFAR-10, whose training images come in five batches."""
    train = [f"data_batch_{number}{suffix}" for number in range(1, 6)]
    return {"train": train, "test": [f"test_batch{suffix}"]}


_LAYOUTS: Mapping[str, Sequence[_Layout]] = {
    "cifar10": (
        _Layout(
            folder="cifar-10-batches-py",
            classes=10,
            splits=_in_batches(""),
            others=("batches.meta", "readme.html"),
            read=partial(read_pickle, key="labels"),
        ),
        _Layout(
            folder="cifar-10-batches-bin",
            classes=10,
            splits=_in_batches(".bin"),
            others=("batches.meta.txt", "readme.html"),
            read=partial(read_records, labels=1),
        ),
    ),
    "cifar100": (
        _Layout(
            folder="cifar-100-python",
            classes=100,
            splits={"train": ["train"], "test": ["test"]},
            others=("meta", "file.txt~"),  # the second is its author's editor backup
            read=partial(read_pickle, key="fine_labels"),
        ),
        _Layout(
            folder="cifar-100-binary",
            classes=100,
            splits={"train": ["train.bin"], "test": ["test.bin"]},
            others=("fine_label_names.txt", "coarse_label_names.txt"),
            read=partial(read_records, labels=2),  # the coarse one, then the fine one
        ),
    ),
}
KINDS = tuple(_LAYOUTS)
"""The data sets whose archives can be read."""


def read_labels(kind: str, archive: Path) -> dict[str, list[int]]:
    """Return the labels of both splits, after a look at every member of the archive.

    Args:
        kind: one of `KINDS`.
        archive: the `tar.gz` with pickles, or the one with records of bytes.

    Raises:
        DatasetError: the archive is missing, damaged, of another kind, or not of an official layout.

    """
    return {split: batch.labels for split, batch in _read(kind, archive, SPLITS).items()}


def read_split(kind: str, archive: Path, split: str) -> Batch:
    """Return one split; raises as `read_labels` does."""
    return _read(kind, archive, (split,))[split]


def _read(kind: str, archive: Path, splits: Sequence[str]) -> dict[str, Batch]:
    layout: _Layout | None = None
    batches: dict[str, Batch] = {}
    seen: set[str] = set()
    try:
        with _Unpacked(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                layout = layout or _layout_of(kind, archive, member.name)
                _check_member(archive, layout, member, seen)
                seen.add(member.name)
                if member.name in layout.paths(*splits):
                    content = tar.extractfile(member)
                    assert content is not None  # noqa: S101
                    batches[member.name] = _batch(f"{archive}: {member.name}", layout, content)
            while unpacked.read(2**20):  # the checksum of all stands at the end
                pass
    except FileNotFoundError as error:
        raise DatasetError(f"the archive {archive} does not exist") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(f"{archive} is damaged or not a tar.gz archive: {error}") from error
    if layout is None:
        raise DatasetError(f"{archive} is empty; needed is {_folders(kind)}")
    needed = layout.paths(*SPLITS)
    if missing := [path for path in needed if path not in seen]:
        raise DatasetError(f"{archive} lacks {missing[0]}; needed are {', '.join(needed)}")
    return {split: joined([batches[path] for path in layout.paths(split)]) for split in splits}


def _layout_of(kind: str, archive: Path, path: str) -> _Layout:
    """Return the layout of an archive whose first member has this path."""
    folder = path.partition("/")[0]
    for other, layouts in _LAYOUTS.items():
        for layout in layouts:
            if layout.folder == folder and other == kind:
                return layout
            if layout.folder == folder:
                raise DatasetError(f"{archive} is no archive of {kind}; --dataset={other}:{archive} reads it")
    raise DatasetError(f"{archive} holds {path!r}; allowed is {_folders(kind)}")


def _folders(kind: str) -> str:
    return " or ".join(f"the folder {layout.folder}" for layout in _LAYOUTS[kind])


def _check_member(archive: Path, layout: _Layout, member: tarfile.TarInfo, seen: set[str]) -> None:
    folder = member.isdir() and member.name == layout.folder
    if not folder and not (member.isreg() and member.name in layout.allowed):
        raise DatasetError(
            f"{archive} holds {member.name!r}; allowed are the folder {layout.folder} and the regular files"
            f" {', '.join(sorted(layout.allowed))}"
        )
    if member.name in seen:
        raise DatasetError(f"{archive} holds {member.name} twice")


def _batch(where: str, layout: _Layout, content: IO[bytes]) -> Batch:
    batch = layout.read(where, content)
    for label in batch.labels:
        if type(label) is not int or not 0 <= label < layout.classes:
            raise DatasetError(f"{where} has the label {label!r}, allowed are 0 to {layout.classes - 1}")
    return batch
