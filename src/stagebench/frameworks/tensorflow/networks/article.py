"""The network of the article in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

from stagebench.frameworks.tensorflow.batch_norm import NORMALIZATION, FusedBatchNormalization
from stagebench.networks.article import NETWORK

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.99, epsilon 1e-3
    # Keras' momentum is the share of a running statistic that a step keeps.
    "matched": {"momentum": NETWORK.batch_norm_decay, "epsilon": NETWORK.batch_norm_epsilon},
    "tuned": {"momentum": NETWORK.batch_norm_decay, "epsilon": NETWORK.batch_norm_epsilon},
}


def build(
    recipe: str,
    classes: int,
    input_size: int,
    batch_norm: bool = True,
    assemble: Callable[..., keras.Model] = keras.Sequential,
) -> keras.Model:
    """Return the network, with Keras' initial weights.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes]. `assemble` makes a model of
    the layers, as `--api` and `--placement` say. Without `batch_norm`, it is the network that takes
    the weights of `Network.fold_batch_norm`.
    """
    stack = [layers.Input((input_size, input_size, 3))]
    for number, channels in enumerate(NETWORK.channels, start=1):
        stack.append(layers.Conv2D(channels, kernel_size=3, padding="same", name=f"conv{number}"))
        if batch_norm:
            stack.append(NORMALIZATION[recipe](**BATCH_NORM[recipe], name=f"batch_norm{number}"))
        stack += [layers.ReLU(), layers.MaxPooling2D(NETWORK.pool)]
    return assemble(
        [
            *stack,
            layers.GlobalAveragePooling2D(),
            layers.Dense(NETWORK.hidden, activation="relu", name="dense1"),
            layers.Dense(classes, name="dense2"),
        ]
    )


KINDS: Mapping[type[keras.Layer], str] = {
    layers.Conv2D: "conv",
    layers.BatchNormalization: "batch_norm",
    FusedBatchNormalization: "batch_norm",
    layers.ReLU: "relu",
    layers.MaxPooling2D: "max_pool",
    layers.GlobalAveragePooling2D: "global_average_pool",
    layers.Dense: "dense",
}
"""What the model table calls the layers; others have no row."""
