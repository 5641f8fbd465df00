"""From Keras models to models of LiteRT, by its converter."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stagebench.frameworks.tensorflow.fake_quantization import fake_quantized

Seconds = dict[str, float]
Samples = Callable[[], Iterator[list[NDArray[np.float32]]]]


def convert(model: keras.Model) -> bytes:
    """Return a float32 model."""
    return _converted(tf.lite.TFLiteConverter.from_keras_model(model))


def dynamic(model: keras.Model) -> tuple[bytes, Seconds]:
    """Return a model with int8 weights that rounds activations when they come, and the seconds that it took.

    Kernels of fewer than 1,024 values stay float32.
    """
    start = perf_counter()
    return _quantized(model), {"conversion": perf_counter() - start}


def post_training(model: keras.Model, calibration: NDArray[np.float32]) -> tuple[bytes, Seconds]:
    """Return a model in int8, calibrated with images float32 [N, H, W, 3], and the seconds of each step.

    What it takes and returns stays float32.
    """
    calibrating = 0.0

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        nonlocal calibrating
        start = perf_counter()
        for image in calibration:
            yield [image[None]]
        calibrating += perf_counter() - start

    start = perf_counter()
    quantized = _quantized(model, samples)
    return quantized, {"calibration": calibrating, "conversion": perf_counter() - start - calibrating}


def quantization_aware(model: keras.Model, train: Callable[[keras.Model], None]) -> tuple[bytes, Seconds]:
    """Return a model in int8 that was trained to be, from the model's weights, and the seconds of each step.

    The ranges of activations are those of the training. What it takes and returns stays float32.
    """
    start = perf_counter()
    rounding = fake_quantized(model)
    train(rounding)
    trained = perf_counter()
    return _quantized(rounding), {"training": trained - start, "conversion": perf_counter() - trained}


def _quantized(model: keras.Model, samples: Samples | None = None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    return _converted(converter)


def _converted(converter: tf.lite.TFLiteConverter) -> bytes:
    with redirect_stdout(io.StringIO()):  # it prints a model's variables
        return bytes(converter.convert())
