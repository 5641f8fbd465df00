"""CIFAR-10 or CIFAR-100 as JPEG files, as the article makes them: upscaled and saved by Pillow's defaults."""

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image as PillowImage

from stagebench.datasets.cache import cache_name, prepared_tree
from stagebench.datasets.cifar_archive import read_labels, read_split
from stagebench.datasets.cifar_batch import Batch
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import MANIFEST_NAME, SPLITS, Image, Manifest, fingerprint_of
from stagebench.datasets.parallel import Progress, chunks, processes_for, run_tasks
from stagebench.datasets.request import DatasetRequest

_VERSION = 1  # raised whenever the written files change
_IMAGES_PER_PROCESS = 5000
_IMAGES_PER_TASK = 250
_MAX_PROCESSES = 4  # each holds a split: 0.5 GB at its peak, measured


def prepare(request: DatasetRequest, cache_folder: Path, progress: Progress) -> Manifest:
    """Return the manifest of the archive's images as JPEGs, written first if the cache has none whole.

    An image is `<split>/<label>/<index in the split>.jpg`. The archive is read in other processes, so that
    this one stays small.

    Raises:
        DatasetError: the archive is missing, damaged or not of an official layout, or the cache folder
            cannot be written.

    """
    kind, _, path = request.source.partition(":")
    archive = Path(path).expanduser().absolute()
    if not 8 <= request.image_size <= 1024:
        raise DatasetError(f"image_size is {request.image_size}, allowed is 8 to 1024 pixels")
    name = cache_name(kind, version=_VERSION, archive=_sha256(archive), image_size=request.image_size)
    build = partial(_build, kind, archive, request.image_size, progress)
    return prepared_tree(cache_folder, name, build, progress)


def _build(kind: str, archive: Path, image_size: int, progress: Progress, folder: Path) -> None:
    (labels,) = run_tasks(
        partial(_labels_of, kind),
        [archive],
        processes=1,
        what="reading the archive",
        total=1,
        progress=progress,
    )
    used = {split: sorted(set(labels[split])) for split in SPLITS}
    if used["train"] != used["test"] or not used["train"]:
        raise DatasetError(
            f"{archive} has {len(used['train'])} classes in train and {len(used['test'])} in test;"
            " both need the same ones"
        )
    tasks = [
        (split, indices)
        for split in SPLITS
        for indices in chunks(range(len(labels[split])), _IMAGES_PER_TASK)
    ]
    total = sum(map(len, labels.values()))
    images = run_tasks(
        partial(_write, partial(_split, kind, archive), folder, image_size, used["train"]),
        tasks,
        processes=min(_MAX_PROCESSES, max(1, processes_for(total, _IMAGES_PER_PROCESS))),
        what="upscaling images",
        total=total,
        progress=progress,
    )
    count = len(labels["train"])
    train, test = tuple(images[:count]), tuple(images[count:])
    classes = tuple(map(str, used["train"]))
    size = (image_size, image_size)
    fingerprint = fingerprint_of(train, test)
    Manifest(folder, classes, train, test, fingerprint, folder / MANIFEST_NAME, picture_size=size).save()


def _labels_of(kind: str, archive: Path) -> list[dict[str, list[int]]]:
    return [read_labels(kind, archive)]


@lru_cache(maxsize=1)  # a process reads a split once for all its tasks
def _split(kind: str, archive: Path, split: str) -> Batch:
    return read_split(kind, archive, split)


def _write(
    read: Callable[[str], Batch],
    root: Path,
    image_size: int,
    used: Sequence[int],
    task: tuple[str, Sequence[int]],
) -> list[Image]:
    split, indices = task
    content = read(split)
    images = []
    for index in indices:
        label = content.labels[index]
        path = f"{split}/{label}/{index}.jpg"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        jpeg = _jpeg(content, index, image_size)
        (root / path).write_bytes(jpeg)
        images.append(Image(path, used.index(label), len(jpeg), hashlib.sha256(jpeg).hexdigest()))
    return images


def _jpeg(content: Batch, index: int, image_size: int) -> bytes:
    picture = PillowImage.fromarray(content.images[index]).resize((image_size, image_size))
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


def _sha256(archive: Path) -> str:
    try:
        with archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"the archive {archive} cannot be read: {error.strerror}") from error
