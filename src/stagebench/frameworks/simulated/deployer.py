"""Deployment of the simulated model: its matrix in a file, in float32 or int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Act = Callable[[str], str | None]
"""Takes the time of a stage, and returns the fault that it must show."""


def logits(images: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean colour of each image by the matrix, plus its first row: the images are black."""
    found: NDArray[np.float32] = images.mean((1, 2)) @ matrix + matrix[0]
    return found


class Deployer:
    """See `contract.Deployer`. A file begins with the scale, float32; that of float32 weights is 0.

    The matrix stands for all layers of the case's network.
    """

    def __init__(self, matrix: NDArray[np.float32], layers: int, act: Act) -> None:
        self._matrix, self._layers, self._act = matrix, layers, act
        self._scale = np.float32(0)

    def quantize(self, calibration: NDArray[np.float32]) -> dict[str, float]:
        stays_float = self._act("quantization") == "stay_float"
        self._scale = np.float32(0 if stays_float else np.abs(self._matrix).max() / 127)
        return {"calibration": 0.0, "conversion": 0.0}

    def export(self, path: Path) -> None:
        worse = np.float32(0.01 if self._act("exporting") == "lose_precision" else 0)
        matrix = self._matrix + worse
        if self._scale:
            matrix = np.rint(matrix / self._scale).astype(np.int8)
        path.write_bytes(self._scale.tobytes() + matrix.tobytes())

    def load(self, path: Path) -> Runner:
        content = path.read_bytes()
        scale = np.frombuffer(content[:4], np.float32)[0]
        matrix = np.frombuffer(content[4:], np.int8 if scale else np.float32).reshape(3, -1)
        integer_layers = self._layers if scale else 0
        return Runner(matrix.astype(np.float32) * (scale or np.float32(1)), integer_layers, self._act)


class Runner:
    """See `contract.Runner`."""

    def __init__(self, matrix: NDArray[np.float32], integer_layers: int, act: Act) -> None:
        self._matrix, self._integer_layers, self._act = matrix, integer_layers, act

    def feed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return images

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self._act("inference")
        return logits(batch, self._matrix)

    def integer_layers(self) -> int:
        return self._integer_layers
