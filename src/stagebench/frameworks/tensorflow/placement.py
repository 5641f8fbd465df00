"""A network over two devices in TensorFlow, the second half of its layers on another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from stagebench.frameworks.stacks import halves

Devices = tuple[str, str]


def devices(device: str) -> Devices:
    """Return where the halves of a network lie, by the case's device.

    The first is TensorFlow's default. Without a GPU there are two logical CPUs, which must be asked for
    before the runtime starts.
    """
    if device == "cuda":
        return "/GPU:0", "/CPU:0"
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return "/CPU:0", "/CPU:1"


def form(devices: Devices) -> dict[str, Any]:
    """Return what a builder is told, so that it splits its network."""
    return {"assemble": partial(split, device=devices[1])}


def split(stack: Sequence[Any], device: str) -> keras.Sequential:
    """Return a model whose second half lies on a device; `stack` is an `Input` and layers."""
    first, second = in_halves(stack)
    return keras.Sequential([*first, *(on_device(layer, device) for layer in second)])


def in_halves(stack: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the halves of a stack of Keras layers."""
    return halves(stack, lambda layer: isinstance(layer, (layers.Conv2D, layers.Dense)))


def on_device(layer: keras.Layer, device: str) -> keras.Layer:
    """Let a layer's variables lie on a device, and its work be done there: forward and backward.

    A scope around the layers of a Keras model would end before the model is called. And TensorFlow computes
    gradients under the scope of the tape, not under that of what they are gradients of.
    """
    build, call = layer.build, layer.call

    @wraps(build)
    def build_there(*args: Any, **kwargs: Any) -> None:
        with tf.device(device):
            build(*args, **kwargs)

    @wraps(call)
    def call_there(inputs: tf.Tensor, **options: Any) -> tf.Tensor:
        @tf.custom_gradient
        def forward(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = call(inputs, **options)

            def backward(upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> Any:
                with tf.device(device):
                    of_inputs, of_variables = tape.gradient(outputs, (inputs, [*variables]), upstream)
                return (of_inputs, of_variables) if variables else of_inputs

            return outputs, backward

        with tf.device(device):
            return forward(inputs)

    layer.build, layer.call = build_there, call_there
    return layer


class Adam(keras.optimizers.Adam):
    """Adam that computes where each variable and its moments lie, and not on the first device."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        with tf.device(variable.device):
            super().update_step(gradient, variable, learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars: list[Any]) -> list[Any]:
        """Leave gradients where they are: Keras' sum over replicas would bring all to the first device."""
        return grads_and_vars


def transfers(model: keras.Sequential, batch_size: int, devices: Devices) -> Callable[[], None]:
    """Return what moves all that crosses between the halves in a training step: both ways, once.

    These are the activations and the logits of a batch, and their gradients. Between logical CPUs nothing is
    copied.
    """
    first, second = devices
    with tf.device(first):
        crossing = [tf.zeros((batch_size, *half[-1].output.shape[1:])) for half in in_halves(model.layers)]

    def move() -> None:
        for tensor in crossing:
            with tf.device(second):
                there = tf.identity(tensor)
            with tf.device(first):
                tf.identity(there)  # a gradient is as large, and goes the other way

    return move
