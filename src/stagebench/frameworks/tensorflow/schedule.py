"""The one-cycle schedule by updates in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("stagebench")
class TabulatedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rates of a training's updates, in order; after the last it stays as it ends.

    The optimiser's count of batches finds them, so that no step need end before the next one begins. They are
    in a variable, because the graph of a step is traced once and every training has a table of its own.
    """

    def __init__(self, accumulate: int = 1) -> None:
        """Begin without learning rates; `accumulate` batches make an update."""
        self.accumulate = accumulate
        self.rates = tf.Variable([0.0], shape=(None,), trainable=False)
        self.start = tf.Variable(0, dtype=tf.int64, trainable=False)
        """Updates that the optimiser had made when the training began."""

    def begin(self, rates: Sequence[float], optimizer: keras.optimizers.Optimizer) -> None:
        """Let the optimiser's next update have the first of these learning rates."""
        self.rates.assign(rates)
        self.start.assign(tf.cast(optimizer.iterations, tf.int64))

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        update = tf.cast(step, tf.int64) // self.accumulate - self.start
        return tf.gather(self.rates, tf.minimum(update, tf.size(self.rates, tf.int64) - 1))

    def get_config(self) -> dict[str, Any]:
        return {"accumulate": self.accumulate}
