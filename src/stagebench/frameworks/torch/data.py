"""Data loaders in PyTorch: Pillow, torchvision transforms, a map-style Dataset, a DataLoader."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import functional, v2

from stagebench.case import Case, Workload
from stagebench.case.training import PIXELS
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Split
from stagebench.frameworks.lifetime import end_with_parent


def preparation(recipe: str, size: int, normalize: str = "none") -> Callable[[Image.Image], Tensor]:
    """Return what turns a decoded RGB picture into a float32 tensor [3, size, size] from 0 to 1.

    Where it is normalized by `half`, it goes from -1 to 1.
    """
    normalized = [v2.Normalize(*([value] * 3 for value in PIXELS[normalize]))] if normalize in PIXELS else []
    if recipe == "published":
        # Resizes in uint8, so that every pixel is rounded to a grey level.
        return transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor(), *normalized])
    resize = v2.Resize((size, size), antialias=True)
    return v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), resize, *normalized])


class Cache:
    """Prepared images in memory: float32 [N, 3, H, W].

    Loader processes share it, and each sees at once what another has put in. On Linux the segment has no
    name, so that nothing is left behind however the processes end.
    """

    def __init__(self, images: int, size: int, shared: bool) -> None:
        self._images = torch.empty(images, 3, size, size)
        self._filled = torch.zeros(images, dtype=torch.bool)
        if shared:  # of shared memory a container may have only 64 MB
            self._images.share_memory_()
            self._filled.share_memory_()

    def get(self, index: int) -> Tensor | None:
        return self._images[index] if self._filled[index] else None

    def put(self, index: int, image: Tensor) -> None:
        self._images[index] = image
        self._filled[index] = True  # last, so that no process reads half an image


class RandomFlips:
    """Flip horizontally and vertically, each with probability 0.5.

    Drawn from the seed, the epoch and the image's index, so that they do not depend on which loader process
    gets the image (with torchvision's transforms they depend on the number of workers, pytorch#15170).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator()

    def __call__(self, image: Tensor, epoch: int, index: int) -> Tensor:
        self._generator.manual_seed(hash((self._seed, epoch, index)) % 2**63)
        horizontal, vertical = (torch.rand(2, generator=self._generator) < 0.5).tolist()
        if horizontal:
            image = functional.hflip(image)
        if vertical:
            image = functional.vflip(image)
        return image


class JpegImages(Dataset[tuple[Tensor, int]]):
    """One split of the data set: image float32 [3, H, W], and its class index."""

    epoch = 0
    """Set before each pass, so that every epoch draws its own flips."""

    def __init__(
        self,
        paths: list[str],
        labels: list[int],
        prepare: Callable[[Image.Image], Tensor],
        cache: Cache | None,
        flips: RandomFlips | None,
    ) -> None:
        self.paths = paths
        self.labels = labels
        self.prepare = prepare
        self.cache = cache
        self.flips = flips

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.cache.get(index) if self.cache else None
        if image is None:
            image = self.prepare(Image.open(self.paths[index]).convert("RGB"))
            if self.cache:
                self.cache.put(index, image)
        if self.flips:
            image = self.flips(image, self.epoch, index)
        return image, self.labels[index]


def loader(
    split: Split, case: Case, workload: Workload, manifest: Manifest
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of images float32 [B, 3, H, W] and class indices int64 [B]; the last one may be smaller."""
    assert isinstance(case.workers, int)
    training = split == "train"
    paths, size = manifest.paths(split), workload.input_size
    images = JpegImages(
        paths=paths,
        labels=manifest.labels(split),
        prepare=preparation(case.recipe, size, case.pixels),
        cache=Cache(len(paths), size, shared=case.workers > 0) if case.cache == "on" else None,
        flips=RandomFlips(workload.seed) if training and case.augment == "on" else None,
    )
    return DataLoader(
        images,
        batch_size=case.batch_size,
        shuffle=training,
        num_workers=case.workers,
        worker_init_fn=partial(end_with_parent, os.getpid()),
        generator=torch.Generator().manual_seed(workload.seed),
    )
