"""A batch of CIFAR images in a pickle, read without running anything that it holds.

A pickle of Python 2 names functions and calls them; here every name leads to an inert stand-in or to an
error, so the worst that a pickle can do is to be refused.
"""

import pickle
import tarfile
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from stagebench.datasets.cifar_batch import CHANNELS, PIXELS, SIDE, Batch
from stagebench.datasets.errors import DatasetError


def read_pickle(where: str, content: IO[bytes], key: str) -> Batch:
    """Return the images of a pickle.

    Args:
        where: what to call the pickle in errors.
        content: the pickle.
        key: under which it has the labels.

    Raises:
        DatasetError: the pickle is damaged, names what its format has no need of, or holds something else.

    """
    try:
        batch = _InertUnpickler(content, encoding="bytes").load()
    except DatasetError as error:
        raise DatasetError(f"{where} {error}") from error
    except (tarfile.TarError, zlib.error, OSError):
        raise  # the archive around the pickle is at fault
    except Exception as error:
        # A damaged pickle can raise whatever its opcodes come upon.
        raise DatasetError(f"{where} is not a pickle of CIFAR: {error!r}") from error
    if not isinstance(batch, dict):
        raise DatasetError(f"{where} holds a {type(batch).__name__}, needed is a dictionary")
    images = _images(where, batch.get(b"data"))
    labels = batch.get(key.encode())
    if not isinstance(labels, list) or len(labels) != len(images):
        raise DatasetError(f"{where} needs a list {key!r} of {len(images)} labels, one an image")
    return Batch(images, labels)


def _images(where: str, data: object) -> NDArray[np.uint8]:
    needed = f"needed is an array 'data' of type uint8 and shape [N, {PIXELS}]"
    if not isinstance(data, _Array):
        raise DatasetError(f"{where} has no array 'data'; {needed}")
    match data.state:
        case (_, (int(count), int(width)), _DType(code=b"u1" | "u1"), order, bytes(content)) if (
            width == PIXELS and len(content) == count * width
        ):
            planes = np.frombuffer(content, np.uint8).reshape((count, width), order="F" if order else "C")
            return planes.reshape(count, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
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
