"""Images of CIFAR with their labels, as the binary archives hold them: record after record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from stagebench.datasets.errors import DatasetError

CHANNELS, SIDE = 3, 32
PIXELS = CHANNELS * SIDE * SIDE


@dataclass(frozen=True)
class Batch:
    """Images in the archive's order."""

    images: NDArray[np.uint8]
    """uint8 [N, 32, 32, 3], RGB."""

    labels: list[int]
    """One an image, from 0."""


def joined(batches: Sequence[Batch]) -> Batch:
    """Return all images, batch after batch."""
    if len(batches) == 1:
        return batches[0]  # a copy would take as much memory again
    labels = [label for batch in batches for label in batch.labels]
    return Batch(np.concatenate([batch.images for batch in batches]), labels)


def read_records(where: str, content: IO[bytes], labels: int) -> Batch:
    """Return the images of records, each of which is some label bytes, then three planes of pixels.

    Args:
        where: what to call the records in errors.
        content: all of them.
        labels: number of label bytes; the last one counts.

    Raises:
        DatasetError: the last record is not whole.

    """
    found = np.frombuffer(content.read(), np.uint8)
    length = labels + PIXELS
    if len(found) % length:
        raise DatasetError(f"{where} has {len(found)} bytes, needed are whole records of {length} bytes")
    records = found.reshape(-1, length)
    images = records[:, labels:].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Batch(images, records[:, labels - 1].tolist())
