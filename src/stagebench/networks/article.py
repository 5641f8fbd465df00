"""What the recipe `matched` makes equal, written once: the network, its optimiser, its initial weights.

Both pipelines build from this. Values are stated even where they are one framework's default, so that no
default of either decides what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.floating]]
"""Every variable of a model by its canonical name, in the order of the layers and in canonical layout.

Convolution kernels are `[height, width, in, out]`, dense kernels `[in, out]`; all else is `[channels]`.
"""


@dataclass(frozen=True)
class Network:
    """Blocks of convolution, BatchNorm, ReLU and pooling; global average pooling; two dense layers."""

    channels: tuple[int, ...] = (32, 64, 128, 128)
    """Output channels of each block's convolution: 3x3, stride 1, zero padding, with bias."""
    pool: int = 2
    """Side and stride of each block's maximum pooling."""
    hidden: int = 128
    """Width of the first dense layer, which a ReLU follows."""
    batch_norm_decay: float = 0.9
    """Share of BatchNorm's running mean and variance that a training step keeps."""
    batch_norm_epsilon: float = 1e-5
    """What BatchNorm adds to the variance."""

    @property
    def layers_with_kernel(self) -> int:
        """Convolutions and dense layers: those that multiply."""
        return len(self.channels) + 2

    def shapes(self, classes: int) -> dict[str, tuple[int, ...]]:
        """Canonical names and shapes of all variables."""
        shapes: dict[str, tuple[int, ...]] = {}
        width = 3
        for number, channels in enumerate(self.channels, start=1):
            shapes[f"conv{number}/kernel"] = (3, 3, width, channels)
            shapes[f"conv{number}/bias"] = (channels,)
            for variable in ("scale", "offset", "mean", "variance"):
                shapes[f"batch_norm{number}/{variable}"] = (channels,)
            width = channels
        for number, units in enumerate((self.hidden, classes), start=1):
            shapes[f"dense{number}/kernel"] = (width, units)
            shapes[f"dense{number}/bias"] = (units,)
            width = units
        return shapes

    def trainable(self, name: str) -> bool:
        """Say whether the optimiser updates a variable."""
        return trainable(name)

    def forward_operations(self, classes: int, size: int) -> int:
        """Floating-point operations for one image of `size` x `size`: two for each multiply-add.

        Convolutions and dense layers alone, which at 32 pixels and 100 classes take 25.4 million.
        """
        return 2 * sum(self._multiply_adds(classes, size))

    def training_operations(self, classes: int, size: int) -> int:
        """The same for a training step: forward, and the gradients of weights and inputs but the image."""
        first, *others = self._multiply_adds(classes, size)
        return 2 * (2 * first + 3 * sum(others))

    def _multiply_adds(self, classes: int, size: int) -> list[int]:
        """Multiply-adds of each layer that has a kernel, for one image."""
        counts, width = [], 3
        for channels in self.channels:
            counts.append(size * size * 9 * width * channels)
            width, size = channels, size // self.pool
        return [*counts, width * self.hidden, self.hidden * classes]


@dataclass(frozen=True)
class AdamSettings:
    """Adam (Kingma and Ba, 2015), without weight decay; the learning rate is the workload's."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    """The frameworks place it differently: torch adds it to the corrected root of the second moment, Keras
    to the uncorrected one ("epsilon hat"), which acts as up to `1 / sqrt(1 - beta_2)` = 32 times as much."""


FINE_TUNING = 0.01
"""Share of the learning rate at which trained weights are trained on, quantization-aware or not: after Wu et
al. (2020), "Integer Quantization for Deep Learning Inference". At all of it, 3 points of accuracy went."""
NETWORK = Network()
ADAM = AdamSettings()


def initial_weights(classes: int, seed: int, network: Network = NETWORK) -> Weights:
    """Return float32 initial weights: He-normal kernels (He et al., 2015), everything else neutral."""
    generator = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in network.shapes(classes).items():
        variable = name.partition("/")[2]
        if variable == "kernel":
            deviation = np.float32((2 / np.prod(shape[:-1])) ** 0.5)
            weights[name] = deviation * generator.standard_normal(shape, np.float32)
        else:
            fill = np.ones if variable in ("scale", "variance") else np.zeros
            weights[name] = fill(shape, np.float32)
    return weights


def fold_batch_norm(weights: Weights, network: Network = NETWORK) -> Weights:
    """Return the weights of the network that has no BatchNorm and computes the same in inference mode.

    There, BatchNorm is one factor and one summand a channel, which go into the convolution before it.
    """
    folded = {name: value for name, value in weights.items() if not name.startswith("batch_norm")}
    for number in range(1, len(network.channels) + 1):
        scale, offset, mean, variance = (
            weights[f"batch_norm{number}/{name}"].astype(np.float64)
            for name in ("scale", "offset", "mean", "variance")
        )
        factor = scale / np.sqrt(variance + network.batch_norm_epsilon)
        kernel, bias = f"conv{number}/kernel", f"conv{number}/bias"
        folded[kernel] = (weights[kernel] * factor).astype(weights[kernel].dtype)
        folded[bias] = ((weights[bias] - mean) * factor + offset).astype(weights[bias].dtype)
    return folded


def training_batch(batch_size: int) -> int:
    """Return the batch in which a model is trained that is used in this one; one image has no statistics.

    So trained, accuracy went from 0.94 to 0.76.
    """
    return batch_size if batch_size > 1 else 32


def trainable(name: str) -> bool:
    """Whether the optimiser updates a variable, which it does not BatchNorm's running statistics."""
    return not name.endswith(("/mean", "/variance"))


def save_weights(file: Path | BinaryIO, weights: Mapping[str, NDArray[np.floating]]) -> None:
    """Write canonical weights as `.npz`, which either framework's pipeline can take over."""
    np.savez(file, allow_pickle=False, **weights)


def load_weights(path: Path) -> Weights:
    """Read canonical weights; nothing in the file is executed."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
