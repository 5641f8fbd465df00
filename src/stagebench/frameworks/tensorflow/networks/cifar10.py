"""The CNN for CIFAR-10 in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import layers

from stagebench.networks.cifar10 import NETWORK


def build(
    recipe: str,
    classes: int,
    input_size: int,
    batch_norm: bool = True,
    assemble: Callable[..., keras.Model] = keras.Sequential,
) -> keras.Model:
    """Return the network, with Keras' initial weights; it has no BatchNorm, and is equal in all recipes.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes]. `assemble` makes a model of
    the layers, as `--api` and `--placement` say.
    """
    stack = [layers.Input((input_size, input_size, 3))]
    for number, channels in enumerate(NETWORK.channels, start=1):
        stack.append(layers.Conv2D(channels, kernel_size=3, activation="relu", name=f"conv{number}"))
        stack.append(layers.MaxPooling2D(NETWORK.pool))
    return assemble(
        [
            *stack[:-1],  # no pooling behind the last
            layers.Flatten(),
            layers.Dense(NETWORK.hidden, activation="relu", name="dense1"),
            layers.Dense(classes, name="dense2"),
        ]
    )


KINDS: Mapping[type[keras.Layer], str] = {
    layers.Conv2D: "conv",
    layers.MaxPooling2D: "max_pool",
    layers.Flatten: "flatten",
    layers.Dense: "dense",
}
"""What the model table calls the layers; others have no row."""
