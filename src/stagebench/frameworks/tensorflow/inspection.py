"""The arithmetic of the Keras network laid open; see `contract.Inspector`."""

from __future__ import annotations

import keras
import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.frameworks.contract import Array
from stagebench.frameworks.tensorflow import api, placement, training
from stagebench.frameworks.tensorflow import model as models
from stagebench.frameworks.tensorflow.custom_loop import CustomLoop
from stagebench.networks.weights import Weights


class Inspector:
    """See `contract.Inspector`."""

    def __init__(self, case: Case, workload: Workload, precision: str) -> None:
        self.recipe, self.network = case.recipe, case.built_network
        self.classes, self.precision = workload.classes, precision
        self.shapes = self.network.shapes(self.classes, workload.input_size)
        keras.config.set_floatx(precision)
        keras.config.set_dtype_policy(precision)
        form = placement.form(placement.devices("cpu")) if case.placement == "split" else api.FORMS[case.api]
        build = models.builder(self.network).build
        self.model = build(self.recipe, self.classes, workload.input_size, **form)

    def logits(self, weights: Weights, images: Array, training: bool) -> Array:
        models.set_weights(self.model, weights)
        logits: Array = self.model(self._images(images), training=training).numpy()
        return logits

    def loss_and_gradients(self, weights: Weights, images: Array, labels: Array) -> tuple[float, Weights]:
        models.set_weights(self.model, weights)
        training.compile_model(self.recipe, self.model, learning_rate=0.0)
        names = [name for name in weights if self.network.trainable(name)]
        loss, gradients = self._loss_and_gradients(images, labels, models.variables(self.model, names))
        return float(loss), {name: g.numpy() for name, g in zip(names, gradients, strict=True)}

    def train(
        self,
        weights: Weights,
        batches: list[tuple[Array, Array]],
        optimizer: str,
        learning_rate: float,
        accumulate: int = 1,
        loop: str = "default",
    ) -> tuple[list[float], Weights]:
        models.set_weights(self.model, weights)
        training.compile_model(self.recipe, self.model, learning_rate, accumulate=accumulate)
        if optimizer == "sgd":
            steps = accumulate if accumulate > 1 else None
            self.model.optimizer = keras.optimizers.SGD(learning_rate, gradient_accumulation_steps=steps)
            self.model.optimizer.build(self.model.trainable_variables)
        if loop == "custom":
            custom = CustomLoop(self.model)
            losses = [custom.fit(self._dataset(*batch), epochs=1)[0].loss for batch in batches]
            return losses, models.get_weights(self.model, self.shapes)
        losses = []
        for images, labels in batches:
            loss, gradients = self._loss_and_gradients(images, labels, self.model.trainable_variables)
            self.model.optimizer.apply(gradients, self.model.trainable_variables)
            losses.append(float(loss))
        return losses, models.get_weights(self.model, self.shapes)

    def adam_path(self, start: Array, gradients: list[Array], learning_rate: float) -> list[Array]:
        training.compile_model(self.recipe, self.model, learning_rate)
        optimizer = type(self.model.optimizer).from_config(self.model.optimizer.get_config())
        variable = keras.Variable(start, dtype=self.precision)
        path = []
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient, self.precision)], [variable])
            path.append(variable.numpy().copy())
        return path

    def _loss_and_gradients(
        self, images: Array, labels: Array, variables: list[keras.Variable]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        one_hot = self._one_hot(labels)
        with tf.GradientTape() as tape:
            logits = self.model(self._images(images), training=True)
            loss = self.model.compute_loss(y=one_hot, y_pred=logits)
        return loss, tape.gradient(loss, [variable.value for variable in variables])

    def _dataset(self, images: Array, labels: Array) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((self._images(images), self._one_hot(labels)))

    def _one_hot(self, labels: Array) -> tf.Tensor:
        return tf.one_hot(labels, self.classes, dtype=self.precision)

    def _images(self, images: Array) -> tf.Tensor:
        return tf.cast(images, self.precision)
