"""The pipeline in TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.dataset import Manifest
from stagebench.pipelines.contract import Epoch, Evaluation, Facts, Layer, Split, UnavailableError
from stagebench.pipelines.tensorflow import data, persistence, training
from stagebench.pipelines.tensorflow import model as network

KINDS = {
    keras.layers.Conv2D: "conv",
    keras.layers.BatchNormalization: "batch_norm",
    keras.layers.ReLU: "relu",
    keras.layers.MaxPooling2D: "max_pool",
    keras.layers.GlobalAveragePooling2D: "global_average_pool",
    keras.layers.Dense: "dense",
}


class Pipeline:
    """See `contract.Pipeline`."""

    model_suffix = persistence.SUFFIX

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        gpus = tf.config.list_physical_devices("GPU")
        if case.device == "cuda":
            if not gpus:
                raise UnavailableError(f"tensorflow {tf.__version__} sees no CUDA device")
            for gpu in gpus:  # otherwise TensorFlow takes all GPU memory, its rivals' too
                tf.config.experimental.set_memory_growth(gpu, True)
        else:
            tf.config.set_visible_devices([], "GPU")
        keras.utils.set_random_seed(workload.seed)  # tf.data mixes it into its own seeds
        self.case, self.workload, self.manifest = case, workload, manifest
        self.device = "/GPU:0" if case.device == "cuda" else "/CPU:0"
        self.model: keras.Model
        self._loaders: dict[Split, tf.data.Dataset] = {}

    def load_data(self) -> list[tf.Tensor]:
        label_batches = []
        with tf.device(self.device):
            for images, labels in self._loader("train"):
                tf.identity(images)  # copies to the device, if the batch is not there already
                label_batches.append(tf.identity(labels))
        return label_batches

    def build_model(self) -> None:
        keras.utils.set_random_seed(self.workload.seed)
        self.model = network.build(self.workload.classes, self.workload.input_size)
        training.compile_model(self.model, self.workload.learning_rate)

    def train(self, epochs: int) -> list[Epoch]:
        return training.train(self.model, self._loader("train"), epochs)

    def save_model(self, path: Path) -> None:
        persistence.save(self.model, path)

    def load_model(self, path: Path) -> None:
        self.model = persistence.load(path)

    def evaluate(self) -> Evaluation:
        return training.evaluate(self.model, self._loader("test"))

    def synchronize(self) -> None:
        if self.case.device == "cuda":
            tf.test.experimental.sync_devices()

    def facts(self) -> Facts:
        name = ""
        if self.case.device == "cuda":
            gpu = tf.config.list_physical_devices("GPU")[0]
            name = tf.config.experimental.get_device_details(gpu).get("device_name", "")
        # 0 means that TensorFlow takes one thread for each processor that it may use.
        threads = tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))
        return Facts(tf.__version__, name, threads)

    def class_indices(self, labels: list[tf.Tensor]) -> NDArray[np.int64]:
        one_hot: NDArray[np.float32] = tf.concat(labels, axis=0).numpy()
        return one_hot.argmax(axis=1)

    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for images, labels in self._loader(split):
            yield images.numpy(), self.class_indices([labels])

    def layers(self) -> list[Layer]:
        return [
            Layer(KINDS[type(layer)], tuple(layer.output.shape[1:]), layer.count_params())
            for layer in self.model.layers
        ]

    def weights(self) -> list[NDArray[np.float32]]:
        weights: list[NDArray[np.float32]] = self.model.get_weights()
        return weights

    def trainable_weights(self) -> int:
        return sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)

    def set_weights(self, weights: list[NDArray[np.float32]]) -> None:
        self.model.set_weights(weights)
        training.reset_optimizer(self.model.optimizer)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self.model(images, training=False).numpy()
        return logits

    def _loader(self, split: Split) -> tf.data.Dataset:
        """Return the split's loader. It is made at first use: that is part of `cold`."""
        if split not in self._loaders:
            self._loaders[split] = data.loader(split, self.case, self.workload, self.manifest)
        return self._loaders[split]
