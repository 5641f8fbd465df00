"""A training loop of one's own, after TensorFlow's guide "Writing a training loop from scratch"."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from stagebench.frameworks.contract import Epoch


class CustomLoop:
    """Trains a compiled model, with its loss, optimiser and execution, without `fit`: step by step."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.loss = keras.metrics.Mean(name="loss")
        self.accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        self.run_step = self.train_step
        if not model.run_eagerly:
            # The last batch may be smaller: one graph for all sizes instead of one for each.
            self.run_step = tf.function(self.train_step, jit_compile=model.jit_compile, reduce_retracing=True)

    def fit(
        self, batches: tf.data.Dataset, epochs: int, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> list[Epoch]:
        """Run `epochs` passes over the batches. The loss reported is the mean over the images."""
        listeners = keras.callbacks.CallbackList([*callbacks], model=self.model, epochs=epochs)
        history = []
        listeners.on_train_begin()
        for epoch in range(epochs):
            listeners.on_epoch_begin(epoch)
            self.loss.reset_state()
            self.accuracy.reset_state()
            for step, (images, labels) in enumerate(batches):
                listeners.on_train_batch_begin(step)
                logs = self.run_step(images, labels)
                listeners.on_train_batch_end(step, logs)
            listeners.on_epoch_end(epoch, logs)
            history.append(Epoch(float(logs["loss"]), float(logs["accuracy"]), int(self.loss.count)))
        listeners.on_train_end()
        return history

    def train_step(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Forward, backward, update. Returns the means over the images of the epoch so far."""
        optimizer, weights = self.model.optimizer, self.model.trainable_weights
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = self.model.loss(labels, logits)
            scaled_loss = optimizer.scale_loss(loss)  # by more than 1 in float16 alone
        optimizer.apply(tape.gradient(scaled_loss, weights), weights)
        self.loss.update_state(loss, sample_weight=tf.shape(images)[0])
        self.accuracy.update_state(labels, logits)
        return {"loss": self.loss.result(), "accuracy": self.accuracy.result()}
