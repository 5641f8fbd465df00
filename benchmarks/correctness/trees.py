"""Trees of class folders as people have them, and what the suite makes of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import SPLITS, Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

NOISE = PillowImage.fromarray(np.random.default_rng(7).integers(0, 256, (24, 24, 3), np.uint8))


def encoded(
    mode: str = "RGB", size: tuple[int, int] = (24, 24), format: str = "JPEG", **options: Any
) -> bytes:
    """Return a picture of noise as the content of a file."""
    file = io.BytesIO()
    NOISE.resize(size).convert(mode).save(file, format, **options)
    return file.getvalue()


def tree(root: Path, files: Mapping[str, bytes], classes: Sequence[str] = ("cat", "dog")) -> Path:
    """Write the files, by name, into each class of both splits."""
    for split in SPLITS:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for file, content in files.items():
                (root / split / name / file).write_bytes(content)
    return root


def read(root: Path, **options: Any) -> Manifest:
    """Return what the suite reads of a tree."""
    return prepare(DatasetRequest(str(root), **options), root.parent / "cache", lambda *_: None)


def refusal(root: Path, **options: Any) -> str:
    """Return why the suite does not read a tree."""
    with pytest.raises(DatasetError) as caught:
        read(root, **options)
    return str(caught.value)
