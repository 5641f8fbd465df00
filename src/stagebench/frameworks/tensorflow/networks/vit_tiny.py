"""The small vision transformer in Keras."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf
from keras import layers, ops

from stagebench.networks.vit_tiny import NETWORK


@keras.saving.register_keras_serializable("stagebench")
class Tokens(layers.Layer):
    """Put the patches of an image into a row behind the class token, and add what tells places apart."""

    def build(self, shape: tuple[int | None, int, int, int]) -> None:
        """Make the variables for patches [B, rows, columns, width]."""
        _, rows, columns, width = shape
        self.class_token = self.add_weight(shape=(width,), initializer="zeros", name="class_token")
        self.positions = self.add_weight(
            shape=(rows * columns + 1, width), initializer="zeros", name="positions"
        )

    def call(self, patches: tf.Tensor) -> tf.Tensor:
        """Take [B, rows, columns, width], return [B, tokens, width]."""
        _, rows, columns, width = patches.shape
        tokens = ops.reshape(patches, (-1, rows * columns, width))
        first = ops.broadcast_to(self.class_token, (ops.shape(tokens)[0], 1, width))
        return ops.concatenate([ops.cast(first, tokens.dtype), tokens], axis=1) + self.positions


@keras.saving.register_keras_serializable("stagebench")
class Attention(layers.Layer):
    """Mix the values of all tokens, in each head by how much their keys are like a token's query."""

    def call(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """Take three of [B, tokens, width], return the same."""
        # Keras' own `dot_product_attention` rounds to float32 before its softmax.
        _, tokens, width = query.shape
        size = width // NETWORK.heads
        query, key, value = (
            ops.transpose(ops.reshape(one, (-1, tokens, NETWORK.heads, size)), (0, 2, 1, 3))
            for one in (query, key, value)
        )
        likeness = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * size**-0.5
        mixed = ops.matmul(ops.softmax(likeness), value)
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, tokens, width))


@keras.saving.register_keras_serializable("stagebench")
def gelu(values: tf.Tensor) -> tf.Tensor:
    """Return GELU by the error function. Keras' own has the root of 2 in float32, whatever the precision."""
    return 0.5 * values * (1 + ops.erf(values * 0.5**0.5))


def build(recipe: str, classes: int, input_size: int, batch_norm: bool = True) -> keras.Model:
    """Return the network, which is equal in all recipes and has no BatchNorm. Tokens and positions are 0.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes].
    """
    patch = NETWORK.patch(input_size)
    inputs = layers.Input((input_size, input_size, 3))
    tokens = Tokens(name="tokens")(layers.Conv2D(NETWORK.width, patch, patch, name="patches")(inputs))
    for number in range(1, NETWORK.depth + 1):
        tokens = block(tokens, f"block{number}")
    tokens = layers.LayerNormalization(epsilon=NETWORK.layer_norm_epsilon, name="norm")(tokens)
    return keras.Model(inputs, layers.Dense(classes, name="dense")(tokens[:, 0]))


def block(tokens: tf.Tensor, name: str) -> tf.Tensor:
    """Add attention, then two dense layers; each half is added to what it was given."""

    def dense(width: int, which: str) -> layers.Dense:
        return layers.Dense(width, name=f"{name}_{which}")

    normed = layers.LayerNormalization(epsilon=NETWORK.layer_norm_epsilon, name=f"{name}_norm1")(tokens)
    mixed = Attention()(*(dense(NETWORK.width, which)(normed) for which in ("query", "key", "value")))
    tokens = layers.Add()([tokens, dense(NETWORK.width, "project")(mixed)])
    normed = layers.LayerNormalization(epsilon=NETWORK.layer_norm_epsilon, name=f"{name}_norm2")(tokens)
    wide = layers.Activation(gelu)(dense(NETWORK.hidden, "expand")(normed))
    return layers.Add()([tokens, dense(NETWORK.width, "contract")(wide)])


KINDS: Mapping[type[keras.Layer], str] = {
    layers.Conv2D: "conv",
    Tokens: "tokens",
    layers.LayerNormalization: "layer_norm",
    layers.Dense: "dense",
}
"""What the model table calls the layers; others have no row."""
