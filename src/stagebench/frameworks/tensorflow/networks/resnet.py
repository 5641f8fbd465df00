"""Residual networks in Keras, of any depth."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf
from keras import layers

from stagebench.frameworks.tensorflow.batch_norm import NORMALIZATION, FusedBatchNormalization
from stagebench.networks.resnet import Block, Conv, ResNet


class Builder:
    """Adds layers of one network by one recipe, with BatchNorm or with it folded into convolutions."""

    def __init__(self, network: ResNet, recipe: str, batch_norm: bool) -> None:
        self.network, self.recipe, self.batch_norm = network, recipe, batch_norm

    def conv(self, images: tf.Tensor, conv: Conv) -> tf.Tensor:
        """Add a convolution and its BatchNorm."""
        padding = "same"
        if conv.stride > 1 and conv.kernel > 1:  # "same" would pad an even image on one side alone
            images, padding = layers.ZeroPadding2D(conv.kernel // 2)(images), "valid"
        images = layers.Conv2D(
            conv.channels, conv.kernel, conv.stride, padding, use_bias=not self.batch_norm, name=conv.name
        )(images)
        if not self.batch_norm:
            return images
        # Keras' momentum is the share of a running statistic that a step keeps.
        momentum, epsilon = self.network.batch_norm_decay, self.network.batch_norm_epsilon
        norm = NORMALIZATION[self.recipe](momentum=momentum, epsilon=epsilon, name=conv.batch_norm)
        return norm(images)

    def stem(self, images: tf.Tensor, input_size: int) -> tf.Tensor:
        """Add what comes before the blocks."""
        images = layers.ReLU()(self.conv(images, self.network.stem(input_size)))
        if self.network.pools(input_size):  # zeros are below no output of a ReLU
            images = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(images))
        return images

    def block(self, images: tf.Tensor, block: Block) -> tf.Tensor:
        """Add convolutions, to whose output the shortcut is added."""
        first, *others = block.convs
        branch = self.conv(images, first)
        for conv in others:
            branch = self.conv(layers.ReLU()(branch), conv)
        shortcut = self.conv(images, block.shortcut) if block.shortcut else images
        return layers.ReLU()(layers.Add()([branch, shortcut]))


def build_resnet(
    network: ResNet, recipe: str, classes: int, input_size: int, batch_norm: bool = True
) -> keras.Model:
    """Return a network, with Keras' initial weights.

    It takes images float32 [B, H, W, 3] and returns logits float32 [B, classes]. Without `batch_norm`, it is
    the network that takes the weights of `Network.fold_batch_norm`.
    """
    builder = Builder(network, recipe, batch_norm)
    images = inputs = layers.Input((input_size, input_size, 3))
    images = builder.stem(images, input_size)
    for block in network.stages(input_size):
        images = builder.block(images, block)
    features = layers.GlobalAveragePooling2D()(images)
    return keras.Model(inputs, layers.Dense(classes, name="dense")(features))


KINDS: Mapping[type[keras.Layer], str] = {
    layers.Conv2D: "conv",
    layers.BatchNormalization: "batch_norm",
    FusedBatchNormalization: "batch_norm",
    layers.MaxPooling2D: "max_pool",
    layers.GlobalAveragePooling2D: "global_average_pool",
    layers.Dense: "dense",
}
"""What the model table calls the layers; others have no row."""
