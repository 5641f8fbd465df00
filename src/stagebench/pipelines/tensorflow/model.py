"""The article's network in Keras, with the initial weights that Keras gives."""

from __future__ import annotations

import keras
from keras import layers

CHANNELS = (32, 64, 128, 128)


def build(classes: int, input_size: int) -> keras.Sequential:
    """Four blocks of convolution, BatchNorm, ReLU and pooling, then two dense layers.

    Takes images float32 [B, H, W, 3], returns logits float32 [B, classes].
    """
    stack = [layers.Input((input_size, input_size, 3))]
    for channels in CHANNELS:
        stack += [
            layers.Conv2D(channels, kernel_size=3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
        ]
    return keras.Sequential(
        [
            *stack,
            layers.GlobalAveragePooling2D(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes),
        ]
    )
