"""Data loading of the recipe `tuned`: whole batches at a time, prepared and kept on the device.

What was tried, in microseconds an image (JPEGs of 64x64 to 32x32, batches of 32, two cores of an AMD EPYC):

| step | tried, what is used last |
|---|---|
| decode, one thread | torchvision 32.0, torchcodec 30.9 (given a list 29.2), simplejpeg 27.7 |
| cached batch with flips | the flipped ones by index 4.0, each orientation alone 4.5, `torch.where` 3.7 |

And on a busier day, on which simplejpeg took 46:

| step | tried, what is used last |
|---|---|
| read | `FileIO` 13.4, `os.read` 8.1 |
| resize, two threads of PyTorch's | `interpolate` on planes 62, products with its matrices 25 |
| epoch without cache, all in one thread | `interpolate` 187, matrices 157, decoded into the batch 142 |
| the same by two threads | share a batch 121, each loads batches ahead 88, decoded into the batch 82 |
| the same, flips in the main thread | as slow as one thread: PyTorch's own ones spin after operations |

Threads that load ahead do not slow training: an epoch without cache took 0.985 of the time.
torchcodec, the successor of torchvision's decoders, turns pictures as their orientation tags say, which no
other pipeline here does. On a GPU nothing has been measured yet.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from math import prod

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from stagebench.case import Case, Workload
from stagebench.case.training import PIXELS
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Split
from stagebench.frameworks.lifetime import end_with_parent

LARGEST_PICTURE = 2**16
"""Pixels of pictures that are loaded as a whole batch; one of larger pictures would take much memory."""
LONGEST_SIDE = 2**12
"""Pixels of the sides that are resized by matrices; making the matrix of one takes the square of it."""


class JpegFiles(Dataset[Tensor]):
    """One split of the data set, read and decoded a batch at a time."""

    def __init__(
        self, paths: list[str], picture_size: tuple[int, int] | None, prepare: Callable[[Tensor], Tensor]
    ) -> None:
        self.paths, self.prepare = paths, prepare
        self.picture_size = picture_size
        """Height and width of all pictures; None where they are prepared one by one."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return a batch: pictures uint8 [B, height, width, 3], or those that are prepared one by one."""
        paths = [self.paths[index] for index in indices]
        if self.picture_size is None:
            return torch.cat([self.prepare(torch.from_numpy(decode(path))[None]) for path in paths])
        pictures = torch.empty(len(paths), *self.picture_size, 3, dtype=torch.uint8)
        for path, place in zip(paths, pictures.numpy(), strict=True):
            if decode(path, place).shape != place.shape:
                raise ValueError(f"{path}: {place.shape[0]} by {place.shape[1]} pixels are expected")
        return pictures


def decode(path: str, place: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return a file's picture, uint8 [height, width, 3], in an array that has the place for it, if given.

    Like Pillow, it lets damage pass that libjpeg repairs.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        content = os.read(file, size := os.fstat(file).st_size)
    finally:
        os.close(file)
    if len(content) < size:
        raise OSError(f"{path} ends after {len(content)} of {size} bytes")
    try:
        picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, strict=False, buffer=place)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return picture


def prepared(
    pictures: Tensor, size: int, normalize: str, matrices: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return what the model gets, float32 [B, size, size, 3] from 0 to 1, of uint8 [B, height, width, 3].

    Where it is normalized by `half`, it goes from -1 to 1. The matrices are the `resize_matrices` of pictures
    of this size.
    """
    height, width = pictures.shape[1:3]
    if (height, width) == (size, size):
        images = pictures / 255
    elif matrices:
        # A product for each picture: rounding must not depend on how many are in a batch.
        rows, columns = (matrix.expand(len(pictures), -1, -1) for matrix in matrices)
        lines = torch.bmm(rows, pictures.reshape(-1, height, width * 3).float())
        images = torch.bmm(lines, columns).reshape(-1, size, size, 3)
    else:
        planes = pictures.permute(0, 3, 1, 2).contiguous() / 255
        images = _resized(planes, (size, size)).permute(0, 2, 3, 1).contiguous()
    if normalize in PIXELS:
        mean, deviation = PIXELS[normalize]
        images = (images - mean) / deviation
    return images


def resize_matrices(shape: tuple[int, int], size: int) -> tuple[Tensor, Tensor]:
    """Return the weights of an antialiased resize of [height, width] to a square, as two matrices.

    They are float32 [size, height], to the left of the lines of a picture [height, width * 3], and
    [width * 3, size * 3], to the right of them, which also makes pixels from 0 to 1 of those from 0 to 255.
    """
    rows, columns = (_resized(torch.eye(side)[None, None], (size, side))[0, 0] for side in shape)
    return rows, torch.kron(columns.T.contiguous(), torch.eye(3) / 255)


def _resized(planes: Tensor, sides: tuple[int, int]) -> Tensor:
    return functional.interpolate(planes, sides, mode="bilinear", antialias=True)


class Loader:
    """Batches on the device: images float32 [B, 3, H, W] in channels_last, and class indices int64 [B].

    Files are loaded by threads, or by as many processes as the case has. With a cache, every epoch after the
    first one takes its images from one tensor.
    """

    def __init__(
        self, split: Split, case: Case, workload: Workload, manifest: Manifest, device: torch.device
    ) -> None:
        assert isinstance(case.workers, int)
        self.device, self.batch_size = device, case.batch_size
        self.shuffle = split == "train"
        self.flip = self.shuffle and case.augment == "on"
        self.labels = torch.tensor(manifest.labels(split), device=device)
        self.cache: Tensor | None = None
        if case.cache == "on":
            side = workload.input_size
            self.cache = torch.empty(len(self.labels), side, side, 3, device=device)
        self.cached = False
        # Drawn here and not by those who load, so that their number changes no image.
        self.order = torch.Generator().manual_seed(workload.seed)
        self.flips = torch.Generator(device).manual_seed(workload.seed)
        self.prepare = partial(prepared, size=workload.input_size, normalize=case.pixels)
        self.matrices = matrices = None
        size = manifest.picture_size
        if size and max(size) <= LONGEST_SIDE:
            matrices = resize_matrices(size, workload.input_size)
            self.matrices = matrices[0].to(device), matrices[1].to(device)
        self.files = JpegFiles(
            manifest.paths(split),
            size if size and prod(size) <= LARGEST_PICTURE else None,
            partial(self.prepare, matrices=matrices),
        )
        self.batches: list[list[int]] = []
        """Indices of the epoch's batches, for loader processes."""
        self.processes: DataLoader[Tensor] | None = None
        if case.workers:
            self.processes = DataLoader(
                self.files,
                batch_sampler=self.batches,
                num_workers=case.workers,
                persistent_workers=True,
                worker_init_fn=partial(end_with_parent, os.getpid()),
                collate_fn=_as_it_is,
                pin_memory=device.type == "cuda",
            )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.labels)
        order = torch.randperm(count, generator=self.order) if self.shuffle else torch.arange(count)
        order = order.to(self.device)
        batches = order.split(self.batch_size)
        # Views of one tensor: labels kept one by one would lie scattered between freed batches.
        labels = self.labels[order].split(self.batch_size)
        for images, own_labels in zip(self._images(batches), labels, strict=True):
            yield images.permute(0, 3, 1, 2), own_labels

    def _images(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each batch of indices, float32 [B, H, W, 3], from the cache or from files."""
        if self.cached:
            assert self.cache is not None
            for indices in batches:
                yield _flipped(self.cache.index_select(0, indices), self._draws(indices))
            return
        lists = [indices.tolist() for indices in batches]
        if self.processes:
            self.batches[:] = lists
            for indices, batch in zip(batches, self.processes, strict=True):
                yield self._finished(batch, indices, self._draws(indices))
        else:
            yield from self._by_threads(batches, lists)
        if self.cache is not None:
            self.cached, self.processes = True, None

    def _by_threads(self, batches: Sequence[Tensor], lists: Sequence[list[int]]) -> Iterator[Tensor]:
        """Yield the images of each batch, which one thread loads; as many are ahead as there are threads.

        Each thread computes by one of PyTorch's own. Operations in this thread would wake all of those, and
        they spin afterwards, on the processors of the threads that load.
        """
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            ahead: deque[Future[Tensor]] = deque()
            for indices, numbers in zip(batches, lists, strict=True):
                ahead.append(pool.submit(self._loaded, numbers, indices, self._draws(indices)))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _loaded(self, numbers: list[int], indices: Tensor, draws: Tensor | None) -> Tensor:
        batch = self.files.__getitems__(numbers)
        return self._finished(batch.pin_memory() if self.device.type == "cuda" else batch, indices, draws)

    def _finished(self, batch: Tensor, indices: Tensor, draws: Tensor | None) -> Tensor:
        """Return the images of a batch of files, and keep them in the cache as they are before flips."""
        images = batch.to(self.device, non_blocking=True)
        if self.files.picture_size:
            images = self.prepare(images, matrices=self.matrices)
        if self.cache is not None:
            self.cache[indices] = images
        return _flipped(images, draws)

    def _draws(self, indices: Tensor) -> Tensor | None:
        """Draw for each image of a batch whether it is flipped, bool [2, B, 1, 1, 1], if any are."""
        if not self.flip:
            return None
        return torch.rand(2, len(indices), 1, 1, 1, generator=self.flips, device=self.device) < 0.5


def _flipped(images: Tensor, draws: Tensor | None) -> Tensor:
    """Flip images [B, H, W, 3] horizontally where the first draw is true, vertically where the second is."""
    if draws is None:
        return images
    horizontally, vertically = draws
    images = torch.where(horizontally, images.flip(2), images)
    return torch.where(vertically, images.flip(1), images)


def _as_it_is(batch: Tensor) -> Tensor:
    """Collate what `__getitems__` returns, which is a batch already."""
    return batch
