"""The synthetic data set: class-conditional pictures with the spectrum and colours of photographs.

A picture is the pattern of its class plus a random field of its own. Both have a spectrum that falls with
spatial frequency as that of photographs does (Field 1987: amplitude about 1/f) and colour channels that
are correlated as in photographs (most of the variance is brightness), so JPEG compresses them to the sizes of
upscaled CIFAR-100 and decoders do the same work. How much of the picture is the pattern sets how hard it is
to learn.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from stagebench.datasets.cache import cache_name, prepared_tree
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import MANIFEST_NAME, SPLITS, Image, Manifest, fingerprint_of
from stagebench.datasets.parallel import Progress, processes_for, run_tasks
from stagebench.datasets.request import DatasetRequest

GENERATOR_VERSION = 1
"""Raised when the pictures change, so that cached trees of an older generator are not taken for new."""

_PATTERN_SHARES = (0.25, 0.6)
"""Range from which each class draws its pattern's share of the amplitude: some classes are hard to learn."""

_CONTRASTS = (24.0, 72.0)
"""Range from which each picture draws the standard deviation of its brightness, in grey levels."""

_SPECTRUM_SLOPE = -1.1
"""Exponent of the amplitude; the finished JPEGs measure -1.08, from 2 to 31 waves a picture."""

_COLOUR_MIX = np.array(
    [
        [1.0, 0.20, 0.12],
        [1.0, 0.08, -0.12],
        [1.0, -0.28, 0.00],
    ],
    dtype=np.float32,
)
"""RGB from brightness, blue against yellow and red against green, in units of the brightness."""

_IMAGES_PER_PROCESS = 1000  # making one takes about 0.3 ms, starting a process 0.3 s
_IMAGES_PER_TASK = 100


@dataclass(frozen=True)
class _Task:
    """Consecutive pictures of one class and split."""

    split: str
    label: int
    numbers: range


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of the synthetic tree, made first if the cache has none that is whole.

    Raises:
        DatasetError: a count that cannot be, or a cache folder that cannot be written.

    """
    _check(request)
    name = cache_name(
        "synthetic",
        generator=GENERATOR_VERSION,
        train_images=request.train_images,
        test_images=request.test_images,
        classes=request.classes,
        image_size=request.image_size,
        seed=request.seed,
    )
    return prepared_tree(cache_folder, name, partial(build, request, progress=progress), progress)


def build(request: DatasetRequest, folder: Path, *, progress: Progress, processes: int | None = None) -> None:
    """Write the pictures and their manifest into `folder`, in `processes` (`None`: as many as pay)."""
    counts = {"train": request.train_images, "test": request.test_images}
    total = sum(counts.values())
    images = run_tasks(
        partial(_write, request, folder),
        [task for split in SPLITS for task in _tasks(split, counts[split], request.classes)],
        processes=processes_for(total, _IMAGES_PER_PROCESS) if processes is None else processes,
        what="making synthetic images",
        total=total,
        progress=progress,
    )
    classes = tuple(str(label) for label in range(request.classes))
    train, test = tuple(images[: counts["train"]]), tuple(images[counts["train"] :])
    size = (request.image_size, request.image_size)
    fingerprint = fingerprint_of(train, test)
    Manifest(folder, classes, train, test, fingerprint, folder / MANIFEST_NAME, picture_size=size).save()


def jpeg(seed: int, split: str, label: int, number: int, image_size: int) -> bytes:
    """Return one picture as JPEG (quality 75, 4:2:0); the same arguments give the same bytes."""
    rng = _generator(seed, 1 + SPLITS.index(split), label, number)
    contrast = rng.uniform(*_CONTRASTS)
    field = _random_field(rng, image_size)
    pattern, share = _class_pattern(seed, label, image_size)
    mixed = share * pattern + (1 - share**2) ** 0.5 * field
    pixels = np.clip(127.5 + contrast * mixed, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", quality=75, subsampling="4:2:0")
    return file.getvalue()


def _check(request: DatasetRequest) -> None:
    if request.classes < 1:
        raise DatasetError(f"classes is {request.classes}, allowed is 1 or more")
    for what, count in (("--train-images", request.train_images), ("--test-images", request.test_images)):
        if count < request.classes:
            raise DatasetError(
                f"{what} is {count}, allowed is {request.classes} or more: each of the {request.classes}"
                " classes needs an image; or give fewer --classes"
            )
    if not 8 <= request.image_size <= 1024:
        raise DatasetError(f"image_size is {request.image_size}, allowed is 8 to 1024 pixels")
    if request.seed < 0:
        raise DatasetError(f"seed is {request.seed}, allowed is 0 or more")


def _tasks(split: str, count: int, classes: int) -> list[_Task]:
    """Return the pictures of a split, class by class: picture i belongs to class i % classes."""
    return [
        _Task(split, label, numbers[start : start + _IMAGES_PER_TASK])
        for label in range(classes)
        for numbers in [range((count - label + classes - 1) // classes)]
        for start in range(0, len(numbers), _IMAGES_PER_TASK)
    ]


def _write(request: DatasetRequest, root: Path, task: _Task) -> list[Image]:
    folder = f"{task.split}/{task.label}"
    (root / folder).mkdir(parents=True, exist_ok=True)
    images = []
    for number in task.numbers:
        content = jpeg(request.seed, task.split, task.label, number, request.image_size)
        path = f"{folder}/{number}.jpg"
        (root / path).write_bytes(content)
        images.append(Image(path, task.label, len(content), hashlib.sha256(content).hexdigest()))
    return images


def _generator(seed: int, *key: int) -> np.random.Generator:
    # A stream of its own for every key, so that no picture depends on which were drawn before it.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@lru_cache(maxsize=1)  # pictures are made class by class
def _class_pattern(seed: int, label: int, image_size: int) -> tuple[NDArray[np.float32], float]:
    """Return what the class's pictures have in common, and its share in each of them."""
    rng = _generator(seed, 0, label)
    share = rng.uniform(*_PATTERN_SHARES)
    field = _random_field(rng, image_size)
    # Symmetric, so that flipped pictures (the augmentation) are still of their class.
    field = field + field[::-1]
    return np.float32(0.5) * (field + field[:, ::-1]), share


def _random_field(rng: np.random.Generator, image_size: int) -> NDArray[np.float32]:
    """Return float32 [image_size, image_size, 3] (RGB) with zero mean and brightness of unit variance."""
    amplitude = _amplitude(image_size)
    noise = rng.standard_normal((3, *amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    planes = np.fft.irfft2(noise * amplitude, s=(image_size, image_size))
    return np.tensordot(planes, _COLOUR_MIX, axes=(0, 1)).astype(np.float32, copy=False)


@lru_cache(maxsize=1)
def _amplitude(image_size: int) -> NDArray[np.float32]:
    """Return what `irfft2` multiplies noise by: float32 [image_size, image_size // 2 + 1]."""
    vertical = np.fft.fftfreq(image_size)[:, None] * image_size
    horizontal = np.fft.rfftfreq(image_size)[None, :] * image_size
    frequency = np.maximum(np.hypot(vertical, horizontal), 1.0)  # the mean varies like the slowest wave
    amplitude: NDArray[np.float64] = frequency**_SPECTRUM_SLOPE
    # `irfft2` adds the mirror image of every column but these, and takes half of their noise.
    edges = (horizontal[0] == 0) | (horizontal[0] == image_size / 2)
    amplitude[:, edges] *= 2**0.5
    variance = np.sum(amplitude**2 * np.where(edges, 1, 4))
    return (amplitude * image_size**2 / variance**0.5).astype(np.float32)
