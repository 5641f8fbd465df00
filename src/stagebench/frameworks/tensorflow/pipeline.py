"""The pipeline in TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf
from keras.callbacks import LearningRateScheduler, TensorBoard
from numpy.typing import NDArray

from stagebench.case import Case, Workload
from stagebench.case.training import FINE_TUNING, one_cycle, updates
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import combinations, contract
from stagebench.frameworks.contract import (
    Deployer,
    Epoch,
    Evaluation,
    Layer,
    Operation,
    RuntimeInfo,
    Split,
    UnavailableError,
    WatchedEpoch,
)
from stagebench.frameworks.tensorflow import api, data, persistence, placement, training
from stagebench.frameworks.tensorflow import model as models
from stagebench.frameworks.tensorflow.custom_loop import CustomLoop
from stagebench.frameworks.tensorflow.schedule import TabulatedSchedule
from stagebench.frameworks.threads import threads_by
from stagebench.networks.weights import Weights


class Pipeline(contract.Pipeline):
    """See `contract.Pipeline`."""

    deploys_batch_norm = True
    """Whether deployed models have BatchNorm as a layer, or as part of the convolutions."""

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        self.network = case.built_network
        self.builder = models.builder(self.network)
        combinations.check(case, self.builder.build)
        gpus = tf.config.list_physical_devices("GPU")
        if case.device == "cuda":
            if not gpus:
                raise UnavailableError(
                    f"tensorflow {tf.__version__} sees no CUDA device; in an environment without torch, "
                    "pip install 'tensorflow[and-cuda]' brings what it needs"
                )
            for gpu in gpus:  # otherwise TensorFlow takes all GPU memory, that of the other cases too
                tf.config.experimental.set_memory_growth(gpu, True)
        self.form = api.FORMS[case.api]
        if case.placement == "split":
            self.devices = placement.devices(case.device)
            self.form = placement.form(self.devices)
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        # Not in `build_model`: it empties TensorFlow's kernel cache, which costs a build 14%.
        keras.utils.set_random_seed(workload.seed)
        self.case, self.workload, self.manifest = case, workload, manifest
        self.device = "/GPU:0" if case.device == "cuda" else "/CPU:0"
        self.initial_weights = self.network.initial_weights(
            workload.classes, workload.input_size, workload.seed
        )
        self.model: keras.Model
        self.schedule: TabulatedSchedule
        self._custom_loop: CustomLoop | None = None
        self._loaders: dict[Split, tf.data.Dataset] = {}

    def load_data(self) -> list[tf.Tensor]:
        label_batches = []
        loader = self._loader("train")
        with tf.device(self.device):
            for images, labels in loader:
                tf.identity(images)  # copies to the device, if the batch is not there already
                label_batches.append(tf.identity(labels))
        return label_batches

    def build_model(self) -> None:
        self.model = self.new_network()
        if self.case.recipe != "published":
            models.set_weights(self.model, self.initial_weights)
        self._compile(self.model)
        self._set_schedule()

    def train(self, epochs: int) -> list[Epoch]:
        return self._train(self._loader("train"), epochs)

    def save_model(self, path: Path) -> None:
        persistence.save(self.model, path)

    def load_model(self, path: Path) -> None:
        self.model = persistence.load(path)
        models.set_precision(self.model, self.case.precision)
        self._set_execution(self.model)
        self._set_schedule()

    def evaluate(self) -> Evaluation:
        return training.evaluate(self.model, self._loader("test"))

    def fine_tune(self) -> None:
        self.train_other(self.model)

    def deployer(self) -> Deployer:
        from stagebench.frameworks.tensorflow import deployer  # it may import what only deployment needs

        return deployer.Deployer(self)

    def synchronize(self) -> None:
        if self.case.device == "cuda":
            tf.test.experimental.sync_devices()

    def runtime_info(self) -> RuntimeInfo:
        name = ""
        if self.case.device == "cuda":
            gpu = tf.config.list_physical_devices("GPU")[0]
            name = tf.config.experimental.get_device_details(gpu).get("device_name", "")
        return RuntimeInfo(tf.__version__, name, threads_by("TF_NUM_INTRAOP_THREADS"))

    def watch_training(self) -> WatchedEpoch:
        watched = data.WatchedBatches(self._loader("train"))
        start = perf_counter()
        (epoch,) = self._train(watched.batches, epochs=1)
        self.synchronize()
        return WatchedEpoch(epoch, perf_counter() - start, watched.wait_seconds)

    def transfers(self) -> Callable[[], None] | None:
        if self.case.placement == "single":
            return None
        return placement.transfers(self.model, self.case.batch_size, self.devices)

    def profile(self, path: Path, work: Callable[[], object]) -> list[Operation]:
        from stagebench.frameworks.tensorflow import profiling

        return profiling.profile(path, work)

    def peak_gpu_bytes(self) -> int | None:
        if self.case.device != "cuda":
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])

    def class_indices(self, labels: list[tf.Tensor]) -> NDArray[np.int64]:
        one_hot: NDArray[np.float32] = tf.concat(labels, axis=0).numpy()
        return one_hot.argmax(axis=1)

    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for images, labels in self._loader(split):
            yield images.numpy(), self.class_indices([labels])

    def layers(self) -> list[Layer]:
        rows, kinds = [], self.builder.KINDS
        if self.case.api == "subclass":  # a layer has an output once it was called on an `Input`
            size = self.workload.input_size
            api.functional([keras.Input((size, size, 3)), *self.model.layers])
        for layer in self.model.layers:
            if type(layer) not in kinds:
                continue
            shape = tuple(layer.output.shape[1:])
            rows.append(Layer(kinds[type(layer)], shape, layer.count_params()))
            if getattr(layer, "activation", None) is keras.activations.relu:  # a layer's own
                rows.append(Layer("relu", shape, 0))
        return rows

    def weights(self) -> Weights:
        shapes = self.network.shapes(self.workload.classes, self.workload.input_size)
        return models.get_weights(self.model, shapes)

    def trainable_weights(self) -> int:
        return sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)

    def set_weights(self, weights: Weights) -> None:
        models.set_weights(self.model, weights)
        training.reset_optimizer(self.model.optimizer)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.case.execution == "compiled":
            compiled: NDArray[np.float32] = self.model.predict_on_batch(images)
            return compiled
        logits: NDArray[np.float32] = self.model(images, training=False).numpy()
        return logits

    # What a deployer needs beside the contract.

    def new_network(self, batch_norm: bool = True) -> keras.Model:
        """Return the case's network, with Keras' initial weights and nothing to train it."""
        recipe, classes, size = self.case.recipe, self.workload.classes, self.workload.input_size
        model = self.builder.build(recipe, classes, size, batch_norm, **self.form)
        models.set_precision(model, self.case.precision)
        return model

    def train_other(self, model: keras.Model) -> None:
        """Fine-tune another model, which is trained otherwise as this pipeline's is, for one epoch."""
        self._compile(model)
        model.optimizer.learning_rate = FINE_TUNING * self.workload.learning_rate
        training.train(model, self._loader("train"), epochs=1)

    def _train(self, batches: tf.data.Dataset, epochs: int) -> list[Epoch]:
        """Train as the case's settings say."""
        maximum = self.workload.learning_rate
        callbacks: list[keras.callbacks.Callback] = []
        if self.case.schedule == "one_cycle":
            callbacks.append(LearningRateScheduler(lambda epoch, _: maximum * one_cycle(epoch, epochs)))
        elif self.case.schedule == "one_cycle_step":
            steps = updates(self.case, len(self.manifest.train), epochs)
            rates = [maximum * one_cycle(step, steps) for step in range(steps + 1)]
            self.schedule.begin(rates, self.model.optimizer)
        if self.case.logging == "tensorboard":
            folder = tempfile.mkdtemp(prefix="tensorboard-")
            callbacks.append(TensorBoard(folder, write_graph=False, update_freq=1))
        if self.case.loop == "custom":
            if self._custom_loop is None or self._custom_loop.model is not self.model:
                self._custom_loop = CustomLoop(self.model)
            return self._custom_loop.fit(batches, epochs, callbacks)
        return training.train(self.model, batches, epochs, callbacks)

    def _compile(self, model: keras.Model, split: Split = "train") -> None:
        """Give a model what it needs to be run over a split."""
        adam = placement.Adam if self.case.placement == "split" else keras.optimizers.Adam
        training.compile_model(
            self.case.recipe,
            model,
            self.workload.learning_rate,
            self.case.precision,
            self.case.accumulate,
            adam,
        )
        self._set_execution(model, split)

    def _set_schedule(self) -> None:
        """Let the optimiser take its learning rates from a table, where each update has its own."""
        if self.case.schedule == "one_cycle_step":
            self.schedule = TabulatedSchedule(self.case.accumulate)
            self.model.optimizer.learning_rate = self.schedule

    def _set_execution(self, model: keras.Model, split: Split = "train") -> None:
        training.set_execution(model, self.case.execution)
        if self.case.placement == "split":
            model.jit_compile = False  # XLA, which Keras takes on a GPU, compiles a step for one device

    def _loader(self, split: Split) -> tf.data.Dataset:
        """Return the split's loader. It is made at first use: that is part of `cold`."""
        if split not in self._loaders:
            self._loaders[split] = data.loader(split, self.case, self.workload, self.manifest)
        return self._loaders[split]
