"""How layers become a model in Keras: the values of `--api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def functional(stack: Sequence[Any]) -> keras.Model:
    """Return a model of the functional API; `stack` is an `Input` and layers."""
    inputs, *layers = stack
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


class Subclass(keras.Model):
    """Layers as attributes, and a `call` that goes through them."""

    def __init__(self, stack: Sequence[Any]) -> None:
        """Take an `Input` and layers."""
        super().__init__()
        inputs, *self.stack = stack
        self.build(inputs.shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the layers' variables; Keras would at the first call."""
        for layer in self.stack:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Take images float32 [B, H, W, 3], return logits float32 [B, classes]."""
        outputs = images
        for layer in self.stack:
            outputs = layer(outputs)  # Keras hands `training` on
        return outputs


FORMS: Mapping[str, Mapping[str, Any]] = {
    "sequential": {},
    "functional": {"assemble": functional},
    "subclass": {"assemble": Subclass},
}
"""What a builder is told; it writes `keras.Sequential` itself."""
