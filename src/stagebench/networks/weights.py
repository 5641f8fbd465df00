"""Weights in canonical form, which every framework takes and gives, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.floating]]
"""Every variable of a model by its canonical name, in the order of the layers and in canonical layout.

Convolution kernels are `[height, width, in, out]`, dense kernels `[in, out]`, positions `[tokens, channels]`;
all else is `[channels]`.
"""


def save_weights(file: Path | BinaryIO, weights: Mapping[str, NDArray[np.floating]]) -> None:
    """Write canonical weights as `.npz`, which either framework's pipeline can take over."""
    np.savez(file, allow_pickle=False, **weights)


def load_weights(path: Path) -> Weights:
    """Read canonical weights; nothing in the file is executed."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
