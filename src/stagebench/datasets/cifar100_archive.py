"""The official CIFAR-100 archive, read without running anything that it holds.

`cifar-100-python.tar.gz` holds pickles of Python 2. A pickle names functions and calls them; here every name
leads to an inert stand-in or to an error, so the worst that an archive can do is to be refused.
Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS

CLASSES = 100
SIDE = 32
_PIXELS = 3 * SIDE * SIDE

_FOLDER = "cifar-100-python"
_NEEDED = {f"{_FOLDER}/{name}" for name in (*SPLITS, "meta")}
_ALLOWED = _NEEDED | {f"{_FOLDER}/file.txt~"}  # the official archive holds its author's editor backup
_MAX_MEMBER_BYTES = 2**29  # the largest one of the official archive has 155 million bytes


@dataclass(frozen=True)
class Split:
    """The images of one split, in the archive's order."""

    images: NDArray[np.uint8]
    """uint8 [N, 32, 32, 3], RGB."""

    labels: list[int]
    """Fine labels, 0 to 99, one an image."""


def read_labels(archive: Path) -> dict[str, list[int]]:
    """Return the fine labels of both splits, after a look at every member of the archive.

    Raises:
        DatasetError: the archive is missing, damaged, or not of the official layout.

    """
    splits = _read(archive, SPLITS)
    return {split: splits[split].labels for split in SPLITS}


def read_split(archive: Path, split: str) -> Split:
    """Return one split; raises as `read_labels` does."""
    return _read(archive, (split,))[split]


def _read(archive: Path, splits: tuple[str, ...]) -> dict[str, Split]:
    found: dict[str, Split] = {}
    seen: set[str] = set()
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                _check_member(archive, member, seen)
                seen.add(member.name)
                split = member.name.rpartition("/")[2]
                if member.isfile() and split in splits:
                    content = tar.extractfile(member)
                    assert content is not None  # noqa: S101
                    found[split] = _split(f"{archive}: {member.name}", content)
    except FileNotFoundError as error:
        raise DatasetError(f"the archive {archive} does not exist") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(f"{archive} is damaged or not a tar.gz archive: {error}") from error
    if missing := sorted(_NEEDED - seen):
        raise DatasetError(f"{archive} lacks {missing[0]}; needed are {', '.join(sorted(_NEEDED))}")
    return found


def _check_member(archive: Path, member: tarfile.TarInfo, seen: set[str]) -> None:
    folder = member.isdir() and member.name == _FOLDER
    if not folder and not (member.isreg() and member.name in _ALLOWED):
        raise DatasetError(
            f"{archive} holds {member.name!r}; allowed are the folder {_FOLDER} and the regular files"
            f" {', '.join(sorted(_ALLOWED))}"
        )
    if member.name in seen:
        raise DatasetError(f"{archive} holds {member.name} twice")
    if not 0 <= member.size <= _MAX_MEMBER_BYTES:
        raise DatasetError(
            f"{archive}: {member.name} has {member.size} bytes, allowed are {_MAX_MEMBER_BYTES}"
        )


def _split(where: str, content: IO[bytes]) -> Split:
    try:
        batch = _InertUnpickler(content, encoding="bytes").load()
    except DatasetError as error:
        raise DatasetError(f"{where} {error}") from error
    except (tarfile.TarError, zlib.error, OSError):
        raise  # the archive around the pickle is at fault
    except Exception as error:
        # A damaged pickle can raise whatever its opcodes come upon.
        raise DatasetError(f"{where} is not a pickle of CIFAR-100: {error!r}") from error
    if not isinstance(batch, dict):
        raise DatasetError(f"{where} holds a {type(batch).__name__}, needed is a dictionary")
    images = _images(where, batch.get(b"data"))
    labels = batch.get(b"fine_labels")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise DatasetError(f"{where} needs a list 'fine_labels' of {len(images)} labels, one an image")
    for label in labels:
        if type(label) is not int or not 0 <= label < CLASSES:
            raise DatasetError(f"{where} has the fine label {label!r}, allowed are 0 to {CLASSES - 1}")
    return Split(images, labels)


def _images(where: str, data: object) -> NDArray[np.uint8]:
    needed = f"needed is an array 'data' of type uint8 and shape [N, {_PIXELS}]"
    if not isinstance(data, _Array):
        raise DatasetError(f"{where} has no array 'data'; {needed}")
    match data.state:
        case (_, (int(count), int(width)), _DType(code=b"u1" | "u1"), order, bytes(content)) if (
            width == _PIXELS and len(content) == count * width
        ):
            planes = np.frombuffer(content, np.uint8).reshape((count, width), order="F" if order else "C")
            return planes.reshape(count, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        case (_, shape, dtype, _, _):
            raise DatasetError(f"{where} has 'data' of type {dtype} and shape {shape}; {needed}")
        case _:
            raise DatasetError(f"{where} has 'data' that is not an array's state; {needed}")


class _DType:
    """Stands in for `numpy.dtype`: keeps the type's code."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and the like: one byte has none."""

    def __repr__(self) -> str:
        return str(self.code)


class _Array:
    """Stands in for `numpy.ndarray`: keeps (version, shape, type, Fortran order, bytes)."""

    state: object = None

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        self.state = state


def _encode(text: object, encoding: object) -> bytes:
    """Stand in for `_codecs.encode`, by which Python 3 writes bytes into pickles of protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise ValueError(f"encode with {encoding!r}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}


class _InertUnpickler(pickle.Unpickler):
    """Unpickles numbers, strings, containers, and the stand-ins; imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, whatever the protocol or extension registry that asks."""
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise DatasetError(f"is refused: its pickle asks for {module}.{name}") from None
