"""The network in Keras, and its weights in canonical layout, which is Keras' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from stagebench.specification import NETWORK, Weights

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.99, epsilon 1e-3
    # Keras' momentum is the share of a running statistic that a step keeps.
    "matched": {"momentum": NETWORK.batch_norm_decay, "epsilon": NETWORK.batch_norm_epsilon},
}


def build(recipe: str, classes: int, input_size: int) -> keras.Sequential:
    """Return the network of the specification, with Keras' initial weights.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes].
    """
    stack = [layers.Input((input_size, input_size, 3))]
    for channels in NETWORK.channels:
        stack += [
            layers.Conv2D(channels, kernel_size=3, padding="same"),
            layers.BatchNormalization(**BATCH_NORM[recipe]),
            layers.ReLU(),
            layers.MaxPooling2D(NETWORK.pool),
        ]
    return keras.Sequential(
        [
            *stack,
            layers.GlobalAveragePooling2D(),
            layers.Dense(NETWORK.hidden, activation="relu"),
            layers.Dense(classes),
        ]
    )


def get_weights(model: keras.Model, classes: int) -> Weights:
    """Return copies of the model's variables."""
    return dict(zip(NETWORK.shapes(classes), model.get_weights(), strict=True))


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give the model's variables new values."""
    model.set_weights(list(weights.values()))
