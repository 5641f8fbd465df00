"""One image file: whether every decoder of the pipelines takes it for the same picture."""

import hashlib
import io
import os
import stat
import warnings
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from stagebench.datasets.jpeg_structure import structure_fault
from stagebench.datasets.manifest import Image
from stagebench.datasets.names import shown

_MAX_BYTES = 2**29  # more than Pillow's largest picture takes without any compression


class _BadImageError(Exception):
    """A file that not every decoder takes for the same picture; says what is wrong with it."""


def checked_image(root: Path, path: str, label: int) -> Image | str:
    """Return the image of a file, `path` under the root, or what is wrong with it in a sentence."""
    file = root / path
    try:
        found, content = _read(file)
        size = _checked(content)
    except _BadImageError as error:
        return f"{shown(file)} {error}"
    return Image(path, label, len(content), hashlib.sha256(content).hexdigest(), found.st_mtime_ns, size)


def _read(file: Path) -> tuple[os.stat_result, bytes]:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise _BadImageError("is not a regular file")
        if found.st_size > _MAX_BYTES:
            raise _BadImageError(f"is too large; allowed are {_MAX_BYTES} bytes")
        return found, file.read_bytes()
    except OSError as error:
        raise _BadImageError(f"cannot be read: {error.strerror}") from error


def _checked(content: bytes) -> tuple[int, int]:
    """Return height and width of what every decoder of the pipelines takes for the same pixels.

    Pillow repairs some damage that TensorFlow refuses or repairs in another way. Of 3,000 JPEGs of a random
    structure (`benchmarks/correctness/jpegs.py`) 1,144 are accepted, and decoded to the same pixels by Pillow
    11.0 and 13.0, TensorFlow 2.16 and 2.21; of the others, 29 are decoded to different ones.
    """
    try:
        return _size_of(content)
    except _BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise _BadImageError("is not a JPEG") from error
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        limit = PillowImage.MAX_IMAGE_PIXELS
        raise _BadImageError(f"is too large; allowed are {limit} pixels") from error
    except Exception as error:  # a damaged file can raise whatever its bytes lead to
        raise _BadImageError(f"is a damaged JPEG: {error}") from error


def _size_of(content: bytes) -> tuple[int, int]:
    """Return height and width of a JPEG that all decoders read."""
    import simplejpeg  # worker processes import this module too, in environments that lack it

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # Pillow's default, which other code may have changed
    with warnings.catch_warnings():
        warnings.simplefilter("error", PillowImage.DecompressionBombWarning)
        with PillowImage.open(io.BytesIO(content), formats=["JPEG"]) as picture:
            picture.load()
            mode, width, height = picture.mode, picture.width, picture.height
    if mode not in ("RGB", "L"):  # decoders disagree on how to turn four inks into three colours
        raise _BadImageError(f"is a JPEG in {mode}; allowed are colour (YCbCr) and greyscale")
    if wrong := structure_fault(content):
        raise _BadImageError(wrong)
    simplejpeg.decode_jpeg(content, strict=True)
    return height, width
