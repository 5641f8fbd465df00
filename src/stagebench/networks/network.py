"""What every network states, so that all frameworks compute the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from stagebench.networks.weights import Weights

Shapes = dict[str, tuple[int, ...]]


def dense_shapes(*widths: int) -> Shapes:
    """Return names and shapes of dense layers, by what the first takes and what each of them returns."""
    shapes: Shapes = {}
    for number, (width, units) in enumerate(pairwise(widths), start=1):
        shapes[f"dense{number}/kernel"] = (width, units)
        shapes[f"dense{number}/bias"] = (units,)
    return shapes


def folded_batch_norm(
    weights: Weights, kernel: str, batch_norm: str, epsilon: float, bias: Any = 0.0
) -> tuple[Any, Any]:
    """Return a convolution's kernel and bias with the BatchNorm that follows it in them.

    In inference mode, BatchNorm is one factor and one summand a channel.
    """
    scale, offset, mean, variance = (
        weights[f"{batch_norm}/{name}"].astype(np.float64) for name in ("scale", "offset", "mean", "variance")
    )
    factor = scale / np.sqrt(variance + epsilon)
    dtype = weights[kernel].dtype
    return (weights[kernel] * factor).astype(dtype), ((bias - mean) * factor + offset).astype(dtype)


class Network(ABC):
    """A network by its numbers. Its classes and its input size, in pixels, are the workload's.

    Variables are called `LAYER/VARIABLE`. What `VARIABLE` is decides how it starts and whether it is trained:
    `kernel`, `bias`; `scale` and `offset` of BatchNorm and LayerNorm, `mean` and `variance` of BatchNorm;
    `class` and `position` of tokens.
    """

    name: str
    """Also that of its file in this folder, and of its builder's file in each framework."""
    recipes: tuple[str, ...] = ("matched", "tuned")
    """That have it: what was published is a form of its own."""
    normalize: str = "none"
    """How the published form has its pixels; see the axis."""
    smallest_input: int = 16
    """Pixels a side that it needs at least."""
    logits_apart: float = 1e-5
    """How far float32 logits may be apart, relative to the largest; it was measured."""
    adams_apart: float = 3e-4
    """How far the losses of the frameworks' Adams may be apart after two steps; it was measured."""
    adam_rounds: float = 0.02
    """How far an epoch of steps of Adam in float32 may be from the same steps in another order of sums: the
    norm of the difference, relative to that of what steps change. Where a gradient is near 0, its rounding
    decides the sign of a step. It was measured: 0.005 after eight steps of `article`, 4e-5 elsewhere."""
    gradients_apart: float = 1e-4
    """How far float32 gradients may be apart: the norm of the difference, relative to that of the gradient.
    Measured; a ReLU whose input rounds to the other side of 0 changes the gradients of all before it."""
    deployed_epochs: int = 0
    """Of 10,000 images, for which it is trained before it is deployed: long enough for its answers to be far
    from a tie. 0: its deployment was not tried in every export format yet."""
    deployed_rate: float = 1.0
    """Share of the workload's learning rate at which it is trained for that."""

    def form(self, recipe: str, framework: str) -> Network:
        """Return what a recipe builds in a framework: this network, wherever work is equal."""
        return self

    def refuses(self, input_size: int) -> str | None:
        """Say why it takes no images of this size, or None."""
        if input_size < self.smallest_input:
            return f"{self.name} takes {self.smallest_input} pixels a side or more, not {input_size}"
        return None

    @abstractmethod
    def shapes(self, classes: int, input_size: int) -> Shapes:
        """Canonical names and shapes of all variables, in the order of the layers."""

    def variable_sizes(self, classes: int, input_size: int) -> dict[str, int]:
        """How many values each variable has."""
        return {name: prod(shape) for name, shape in self.shapes(classes, input_size).items()}

    def kernels(self, classes: int, input_size: int) -> list[int]:
        """How many values each kernel has; of convolutions and dense layers, which multiply."""
        return [n for name, n in self.variable_sizes(classes, input_size).items() if name.endswith("/kernel")]

    @abstractmethod
    def multiply_adds(self, classes: int, input_size: int) -> list[int]:
        """Multiply-adds of each layer that multiplies, for one image; the first takes the image."""

    def forward_operations(self, classes: int, input_size: int) -> int:
        """Floating-point operations for one image: two for each multiply-add, and nothing else."""
        return 2 * sum(self.multiply_adds(classes, input_size))

    def training_operations(self, classes: int, input_size: int) -> int:
        """The same for a training step: forward, and the gradients of weights and inputs but the image."""
        first, *others = self.multiply_adds(classes, input_size)
        return 2 * (2 * first + 3 * sum(others))

    def initial_weights(self, classes: int, input_size: int, seed: int) -> Weights:
        """Return float32 initial weights, everything neutral but kernels and tokens.

        Kernels are He-normal (He et al., 2015); tokens are normal with a deviation of 0.02, as those of BERT
        and of vision transformers are.
        """
        generator = np.random.default_rng(seed)
        weights: Weights = {}
        for name, shape in self.shapes(classes, input_size).items():
            variable = name.partition("/")[2]
            if variable in ("kernel", "class", "position"):
                deviation = (2 / prod(shape[:-1])) ** 0.5 if variable == "kernel" else 0.02
                weights[name] = np.float32(deviation) * generator.standard_normal(shape, np.float32)
            else:
                fill = np.ones if variable in ("scale", "variance") else np.zeros
                weights[name] = fill(shape, np.float32)
        return weights

    def trainable(self, name: str) -> bool:
        """Whether the optimiser updates a variable, which it does not BatchNorm's running statistics."""
        return not name.endswith(("/mean", "/variance"))

    def changes_nothing(self, name: str) -> bool:
        """Whether training does not depend on a variable, so that its gradient is rounding noise."""
        return False

    def fold_batch_norm(self, weights: Weights) -> Weights:
        """Return the weights of the network that has no BatchNorm and computes the same in inference mode.

        A network that has none from the start keeps its weights.
        """
        return weights
