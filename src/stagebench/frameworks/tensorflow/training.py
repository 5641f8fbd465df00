"""Training and evaluation in Keras: compile, fit, evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from stagebench.case.training import ADAM as SPECIFIED
from stagebench.frameworks.contract import Epoch, Evaluation

ADAM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # beta_1 0.9, beta_2 0.999, epsilon 1e-7
    "matched": {"beta_1": SPECIFIED.beta_1, "beta_2": SPECIFIED.beta_2, "epsilon": SPECIFIED.epsilon},
    "tuned": {"beta_1": SPECIFIED.beta_1, "beta_2": SPECIFIED.beta_2, "epsilon": SPECIFIED.epsilon},
}


EXECUTION: Mapping[str, Mapping[str, bool]] = {
    "default": {},
    "eager": {"run_eagerly": True, "jit_compile": False},
    "compiled": {"run_eagerly": False, "jit_compile": True},
}
"""What Keras is told. By default it makes graphs, and compiles them by XLA where it sees a GPU."""


def compile_model(
    recipe: str,
    model: keras.Model,
    learning_rate: float,
    precision: str = "float32",
    accumulate: int = 1,
    adam: type[keras.optimizers.Adam] = keras.optimizers.Adam,
) -> None:
    """Give the model its optimiser, with its state in place, its loss and its metric.

    The gradients of `accumulate` batches, averaged, make one update.
    """
    steps = accumulate if accumulate > 1 else None
    optimizer = adam(learning_rate, gradient_accumulation_steps=steps, **ADAM[recipe])
    if precision == "float16":  # its small gradients would be 0
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)


def set_execution(model: keras.Model, execution: str) -> None:
    """Let Keras execute a compiled model so; files do not keep it."""
    for name, value in EXECUTION[execution].items():
        setattr(model, name, value)


def reset_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Put the optimiser into the state that it has before its first step."""
    for variable in optimizer.variables:
        if variable.name == "dynamic_scale":
            variable.assign(optimizer.initial_scale)
        elif variable.name != "learning_rate":
            variable.assign(tf.zeros_like(variable))


def train(
    model: keras.Model,
    batches: tf.data.Dataset,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Epoch]:
    """Run `epochs` passes over the batches. The loss reported is the mean over the images."""
    images_seen = CountImages()
    history = model.fit(batches, epochs=epochs, callbacks=[*callbacks, images_seen], verbose=0).history
    return [
        Epoch(loss, accuracy, images)
        for loss, accuracy, images in zip(
            history["loss"], history["accuracy"], images_seen.per_epoch, strict=True
        )
    ]


def evaluate(model: keras.Model, batches: tf.data.Dataset) -> Evaluation:
    """Loss and accuracy over the batches. The loss is the mean over the images."""
    metrics = model.evaluate(batches, return_dict=True, verbose=0)
    return Evaluation(metrics["loss"], metrics["accuracy"], count_images(model))


class CountImages(keras.callbacks.Callback):
    """Keep how many images each epoch's loss was computed from."""

    def __init__(self) -> None:
        super().__init__()
        self.per_epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.per_epoch.append(count_images(self.model))


def count_images(model: keras.Model) -> int:
    """Return how many images the last pass has seen: what Keras divided the summed loss by."""
    return int(model.metrics[0].count)
