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

Threads do not pay while PyTorch's own spin on the other core between two operations.
torchcodec, the successor of torchvision's decoders, turns pictures as their orientation tags say, which no
other pipeline here does. On a GPU nothing has been measured yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import FileIO
from typing import TypeAlias

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler

from stagebench.case import Case, Workload
from stagebench.dataset import Manifest
from stagebench.pipelines.contract import Split

Pictures: TypeAlias = "Tensor | list[Tensor]"
"""Decoded pictures: uint8 [B, height, width, 3], or a list of [height, width, 3] where sizes differ."""


class JpegFiles(Dataset[tuple[Tensor, Pictures]]):
    """One split of the data set, read and decoded a batch at a time."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Pictures]:
        """Return the indices, int64 [B], and their pictures."""
        pictures = [self._decode(self.paths[index]) for index in indices]
        if len({picture.shape for picture in pictures}) == 1:
            return torch.tensor(indices), torch.from_numpy(np.stack(pictures))
        return torch.tensor(indices), [torch.from_numpy(picture) for picture in pictures]

    def _decode(self, path: str) -> NDArray[np.uint8]:
        with FileIO(path) as file:  # a buffered one takes 2 us longer
            # Not strict, as Pillow is not: damage that libjpeg repairs is no error.
            picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(file.read(), strict=False)
            return picture


class Loader:
    """Batches on the device: images float32 [B, 3, H, W] in channels_last, and class indices int64 [B].

    With a cache, every epoch after the first one takes its images from one tensor and needs no DataLoader.
    """

    def __init__(
        self, split: Split, case: Case, workload: Workload, manifest: Manifest, device: torch.device
    ) -> None:
        assert isinstance(case.workers, int)
        self.size, self.device, self.batch_size = workload.input_size, device, case.batch_size
        self.shuffle = split == "train"
        self.flip = self.shuffle and case.augment == "on"
        self.labels = torch.tensor(manifest.labels(split), device=device)
        self.cache: Tensor | None = None
        if case.cache == "on":
            self.cache = torch.empty(len(self.labels), self.size, self.size, 3, device=device)
        self.cached = False
        # Drawn here and not by loader processes, so that their number changes no image.
        self.order = torch.Generator().manual_seed(workload.seed)
        self.flips = torch.Generator(device).manual_seed(workload.seed)
        files = JpegFiles(manifest.paths(split))
        self.files = DataLoader(
            files,
            batch_size=case.batch_size,
            sampler=RandomSampler(files, generator=self.order) if self.shuffle else SequentialSampler(files),
            num_workers=case.workers,
            persistent_workers=case.workers > 0,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices, images in self._from_cache() if self.cached else self._from_files():
            if self.flip:
                images = self._flipped(images)
            yield images.permute(0, 3, 1, 2), self.labels[indices]

    def _from_files(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices, pictures in self.files:
            indices, images = indices.to(self.device, non_blocking=True), self._prepared(pictures)
            if self.cache is not None:
                self.cache[indices] = images
            yield indices, images
        self.cached = self.cache is not None

    def _from_cache(self) -> Iterator[tuple[Tensor, Tensor]]:
        assert self.cache is not None
        count = len(self.labels)
        order = torch.randperm(count, generator=self.order) if self.shuffle else torch.arange(count)
        for indices in order.to(self.device).split(self.batch_size):
            yield indices, self.cache.index_select(0, indices)

    def _prepared(self, pictures: Pictures) -> Tensor:
        """Return what the model gets: float32 [B, size, size, 3] from 0 to 1."""
        if isinstance(pictures, list):
            return torch.cat([self._prepared(picture[None]) for picture in pictures])
        # The resize is half as fast on channels_last as on contiguous channels.
        planes = pictures.to(self.device, non_blocking=True).permute(0, 3, 1, 2).contiguous()
        resized = functional.interpolate(
            planes / 255, (self.size, self.size), mode="bilinear", antialias=True
        )
        return resized.permute(0, 2, 3, 1).contiguous()

    def _flipped(self, images: Tensor) -> Tensor:
        """Flip images [B, H, W, 3] horizontally and vertically, each with probability 0.5."""
        draws = torch.rand(2, len(images), 1, 1, 1, generator=self.flips, device=self.device)
        horizontally, vertically = draws < 0.5
        images = torch.where(horizontally, images.flip(2), images)
        return torch.where(vertically, images.flip(1), images)


def _as_it_is(batch: tuple[Tensor, Pictures]) -> tuple[Tensor, Pictures]:
    """Collate what `__getitems__` returns, which is a batch already."""
    return batch
