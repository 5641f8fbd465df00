"""The network in Keras, and its weights in canonical layout, which is Keras' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from stagebench.networks.article import NETWORK, Weights

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.99, epsilon 1e-3
    # Keras' momentum is the share of a running statistic that a step keeps.
    "matched": {"momentum": NETWORK.batch_norm_decay, "epsilon": NETWORK.batch_norm_epsilon},
    "tuned": {"momentum": NETWORK.batch_norm_decay, "epsilon": NETWORK.batch_norm_epsilon},
}


@keras.saving.register_keras_serializable("stagebench")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' layer by TensorFlow's fused kernel, which reads the images fewer times.

    Forward and backward of 32 images in the first block: 0.8 instead of 2.2 ms (two cores). The kernel takes
    no float64; there, and in less than float32, this is Keras' own arithmetic.
    """

    def call(self, inputs: tf.Tensor, training: bool = False, mask: None = None) -> tf.Tensor:
        if inputs.dtype != tf.float32:
            return super().call(inputs, training=training, mask=mask)
        scale, offset = self.gamma.value, self.beta.value
        running = () if training else (self.moving_mean.value, self.moving_variance.value)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, scale, offset, *running, epsilon=self.epsilon, is_training=training
        )
        if training:
            variance = biased(variance, tf.size(inputs) // tf.size(mean))
            for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept.assign(kept * self.momentum + new * (1 - self.momentum))
        return outputs


def biased(variance: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Return what Keras keeps, of the unbiased variance over `count` values that the fused kernel returns."""
    return variance * tf.cast((count - 1) / count, tf.float32)


NORMALIZATION = {
    "published": layers.BatchNormalization,
    "matched": layers.BatchNormalization,
    "tuned": FusedBatchNormalization,
}


def build(
    recipe: str, classes: int, input_size: int, batch_norm: bool = True, precision: str = "float32"
) -> keras.Sequential:
    """Return the network of the specification, with Keras' initial weights.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes]. Without `batch_norm`, it is
    the network that takes the weights of `specification.fold_batch_norm`.
    """
    stack = [layers.Input((input_size, input_size, 3))]
    for channels in NETWORK.channels:
        stack.append(layers.Conv2D(channels, kernel_size=3, padding="same"))
        if batch_norm:
            stack.append(NORMALIZATION[recipe](**BATCH_NORM[recipe]))
        stack += [layers.ReLU(), layers.MaxPooling2D(NETWORK.pool)]
    model = keras.Sequential(
        [
            *stack,
            layers.GlobalAveragePooling2D(),
            layers.Dense(NETWORK.hidden, activation="relu"),
            layers.Dense(classes),
        ]
    )
    if precision != "float32":  # it is the default, but not where float64 is inspected
        set_precision(model, precision)
    return model


def set_precision(model: keras.Model, precision: str) -> None:
    """Let the layers compute in `precision`, but the last one: its logits, and all weights, are float32.

    A model has its own policies, because Keras' global one would reach the other models of the process.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    for layer in model.layers[:-1]:
        if layer.dtype_policy.name != policy:
            layer.dtype_policy = policy


def get_weights(model: keras.Model, classes: int) -> Weights:
    """Return copies of the model's variables."""
    return dict(zip(NETWORK.shapes(classes), model.get_weights(), strict=True))


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give the model's variables new values."""
    model.set_weights(list(weights.values()))
