"""The layers of quantization-aware training: they compute in float32 what int8 will come to.

Kernels and activations are rounded to 256 values; gradients pass as if they were not (Jacob et al., 2018).
Kernels of convolutions have a scale a channel. The BatchNorm that follows is a factor a channel too: the
converter folds it into a rounded kernel, which changes no rounding, so that here it trains on as it is.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

DECAY = 0.99
"""Share of an activation's range that a training step keeps."""


def fake_quantized(model: keras.Model) -> keras.Model:
    """Return a copy of the model that rounds kernels, images and what layers make of them.

    BatchNorm's output is not rounded before its ReLU, with which it becomes one operation, and pooling only
    selects. What is added is rounded first.
    """

    def call(layer: keras.Layer, inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.Add):
            inputs = [rounded(one) for one in inputs]
        elif isinstance(inputs, keras.KerasTensor) and _made_by(inputs, layers.InputLayer):
            inputs = rounded(inputs)
        outputs = layer(inputs, **options)
        return rounded(outputs) if isinstance(layer, ROUNDED) else outputs

    graph = keras.Model(model.inputs, model.outputs)
    quantized = keras.models.clone_model(graph, clone_function=rounding, call_function=call)
    for layer in filter(lambda layer: layer.weights, model.layers):  # a graph's `Input` is named anew
        quantized.get_layer(layer.name).set_weights(layer.get_weights())
    return quantized


ROUNDED = (layers.ReLU, layers.GlobalAveragePooling2D, layers.Dense)
"""Layers whose output is rounded."""


def rounded(values: keras.KerasTensor) -> keras.KerasTensor:
    """Round what was not rounded yet."""
    return values if _made_by(values, FakeQuantization) else FakeQuantization()(values)


def _made_by(values: keras.KerasTensor, layer: type[keras.Layer]) -> bool:
    return isinstance(values._keras_history.operation, layer)


def rounding(layer: keras.Layer) -> keras.Layer:
    """Return a new layer like this one that rounds its kernel, if it has one."""
    kinds: dict[type, Any] = {layers.Conv2D: FakeQuantizedConv2D, layers.Dense: FakeQuantizedDense}
    return kinds.get(type(layer), type(layer)).from_config(layer.get_config())


class FakeQuantization(layers.Layer):
    """Rounds activations to 256 values of their range, which is a moving average over training steps."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            share = ops.where(ops.equal(self.low, self.high), 1.0, 1 - DECAY)  # all of the first batch's
            low, high = ops.minimum(ops.min(inputs), 0.0), ops.maximum(ops.max(inputs), 0.0)  # 0 is exact
            self.low.assign_add(share * (low - self.low))
            self.high.assign_add(share * (high - self.high))
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, self.low, self.high)


class FakeQuantizedConv2D(layers.Conv2D):
    """A convolution by a rounded kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, _rounded(kernel, axis=-1))


class FakeQuantizedDense(layers.Dense):
    """A dense layer by a rounded kernel; of one scale, as the converter refuses one a channel here."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.activation(ops.matmul(inputs, _rounded(self.kernel)) + self.bias)


def _rounded(kernel: Any, axis: int | None = None) -> Any:
    """Round a kernel to 255 values around 0: all of it alike, or by the channels of the last axis."""
    others = None if axis is None else tuple(range(len(kernel.shape) - 1))
    high = ops.stop_gradient(ops.max(ops.abs(kernel), axis=others))
    return keras.quantizers.fake_quant_with_min_max_vars(kernel, -high, high, narrow_range=True, axis=axis)
