"""Data loading of the recipe `tuned`: whole batches at a time, prepared and kept on the device.

What was tried, in microseconds an image (JPEGs of 64x64 to 32x32, batches of 32, two cores of an AMD EPYC):

| step | tried, what is used last |
|---|---|
| read | `Path.read_bytes` 11.1, `open` 8.0, `FileIO` 6.5 |
| decode, one thread | torchvision 32.0, torchcodec 30.9 (given a list 29.2), simplejpeg 27.7 |
| decode, two threads, nothing else running | torchcodec 17.2, simplejpeg 15.5 |
| resize | on channels_last 13.8, as products with its matrices 10.7 (but longer to read), on planes 12.8 |
| epoch without cache | two threads share a batch 73, decode batches in advance 66, no threads 58 |
| cached batch with flips | the flipped ones by index 4.0, each orientation alone 4.5, `torch.where` 3.7 |

Threads do not pay on two cores, where PyTorch's own spin between two operations. On many cores, loader
processes (`--workers`) do.
torchcodec, the successor of torchvision's decoders, turns pictures as their orientation tags say, which no
other pipeline here does. On a GPU nothing has been measured yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from io import FileIO
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

LARGEST_STACK = 2**16
"""Pixels of pictures that are resized a batch at a time; a batch of larger ones would take much memory."""


class JpegFiles(Dataset[Tensor]):
    """One split of the data set, read and decoded a batch at a time."""

    def __init__(self, paths: list[str], size: int, normalize: str) -> None:
        self.paths, self.size, self.normalize = paths, size, normalize

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return a batch: pictures uint8 [B, height, width, 3], or prepared ones where sizes differ."""
        files = [self._read(self.paths[index]) for index in indices]
        shapes = {simplejpeg.decode_jpeg_header(file, strict=False)[:2] for file in files}
        if len(shapes) == 1 and prod(*shapes) <= LARGEST_STACK:
            return torch.from_numpy(np.stack([decoded(file) for file in files]))
        pictures = (torch.from_numpy(decoded(file))[None] for file in files)
        return torch.cat([prepared(picture, self.size, self.normalize) for picture in pictures])

    def _read(self, path: str) -> bytes:
        with FileIO(path) as file:  # a buffered one takes 2 us longer
            return file.read()


def decoded(file: bytes) -> NDArray[np.uint8]:
    """Return a picture, uint8 [height, width, 3]; like Pillow, let damage pass that libjpeg repairs."""
    picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(file, strict=False)
    return picture


def prepared(pictures: Tensor, size: int, normalize: str) -> Tensor:
    """Return what the model gets, float32 [B, size, size, 3] from 0 to 1, of uint8 [B, height, width, 3].

    Where it is normalized by `half`, it goes from -1 to 1.
    """
    # The resize is half as fast on channels_last as on contiguous channels.
    planes = pictures.permute(0, 3, 1, 2).contiguous() / 255
    if planes.shape[2:] != (size, size):
        planes = functional.interpolate(planes, (size, size), mode="bilinear", antialias=True)
    if normalize in PIXELS:
        mean, deviation = PIXELS[normalize]
        planes = (planes - mean) / deviation
    return planes.permute(0, 2, 3, 1).contiguous()


class Loader:
    """Batches on the device: images float32 [B, 3, H, W] in channels_last, and class indices int64 [B].

    With a cache, every epoch after the first one takes its images from one tensor and needs no DataLoader.
    """

    def __init__(
        self, split: Split, case: Case, workload: Workload, manifest: Manifest, device: torch.device
    ) -> None:
        assert isinstance(case.workers, int)
        self.size, self.device, self.batch_size = workload.input_size, device, case.batch_size
        self.normalize = case.pixels
        self.shuffle = split == "train"
        self.flip = self.shuffle and case.augment == "on"
        self.labels = torch.tensor(manifest.labels(split), device=device)
        self.cache: Tensor | None = None
        if case.cache == "on":
            self.cache = torch.empty(len(self.labels), self.size, self.size, 3, device=device)
        # Drawn here and not by loader processes, so that their number changes no image.
        self.order = torch.Generator().manual_seed(workload.seed)
        self.flips = torch.Generator(device).manual_seed(workload.seed)
        self.batches: list[list[int]] = []
        """Indices of the epoch's batches, for the DataLoader."""
        self.files: DataLoader[Tensor] | None = DataLoader(
            JpegFiles(manifest.paths(split), self.size, self.normalize),
            batch_sampler=self.batches,
            num_workers=case.workers,
            persistent_workers=case.workers > 0,
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
            yield (self._flipped(images) if self.flip else images).permute(0, 3, 1, 2), own_labels

    def _images(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each batch of indices, float32 [B, H, W, 3], from the cache or from files."""
        if self.files is None:
            assert self.cache is not None
            for indices in batches:
                yield self.cache.index_select(0, indices)
            return
        self.batches[:] = [indices.tolist() for indices in batches]
        for indices, batch in zip(batches, self.files, strict=True):
            images = batch.to(self.device, non_blocking=True)
            if images.dtype == torch.uint8:
                images = prepared(images, self.size, self.normalize)
            if self.cache is not None:
                self.cache[indices] = images
            yield images
        if self.cache is not None:
            self.files = None  # and with it, its loader processes

    def _flipped(self, images: Tensor) -> Tensor:
        """Flip images [B, H, W, 3] horizontally and vertically, each with probability 0.5."""
        draws = torch.rand(2, len(images), 1, 1, 1, generator=self.flips, device=self.device)
        horizontally, vertically = draws < 0.5
        images = torch.where(horizontally, images.flip(2), images)
        return torch.where(vertically, images.flip(1), images)


def _as_it_is(batch: Tensor) -> Tensor:
    """Collate what `__getitems__` returns, which is a batch already."""
    return batch
