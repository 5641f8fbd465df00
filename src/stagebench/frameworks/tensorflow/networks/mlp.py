"""The multilayer perceptron in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import layers

from stagebench.networks.mlp import NETWORK


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
    return assemble(
        [
            layers.Input((input_size, input_size, 3)),
            layers.Flatten(),
            layers.Dense(NETWORK.hidden, activation="relu", name="dense1"),
            layers.Dense(classes, name="dense2"),
        ]
    )


KINDS: Mapping[type[keras.Layer], str] = {
    layers.Flatten: "flatten",
    layers.Dense: "dense",
}
"""What the model table calls the layers; others have no row."""
