"""Trained Keras models in the forms in which they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stagebench.case.training import training_batch
from stagebench.frameworks.contract import Runner
from stagebench.frameworks.tensorflow import model as models
from stagebench.frameworks.tensorflow import quantization

if TYPE_CHECKING:
    from stagebench.frameworks.tensorflow.pipeline import Pipeline


class Deployer:
    """See `contract.Deployer`. Only LiteRT's files may hold int8 weights."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.case = pipeline, pipeline.case
        size = pipeline.workload.input_size
        self.images = tf.TensorSpec((None, size, size, 3))
        """What exported models take: batches of any size, which costs neither runtime any time."""
        self._quantized: bytes | None = None

    def quantize(self, calibration: NDArray[np.float32]) -> dict[str, float]:
        match self.case.quantize:
            case "dynamic":
                self._quantized, seconds = quantization.dynamic(self._model())
            case "ptq":
                self._quantized, seconds = quantization.post_training(self._model(), calibration)
            case "qat":
                train = self._trainer().train_other
                self._quantized, seconds = quantization.quantization_aware(self.pipeline.model, train)
            case how:
                raise ValueError(f"TensorFlow's models are quantized by dynamic, ptq or qat, not by {how}")
        return seconds

    def export(self, path: Path) -> None:
        match self.case.deploy:
            case "graph":
                self._without_optimizer().save_weights(path)  # it would go into the file
            case "savedmodel":
                self._model().export(path, verbose=False)
            case "litert":
                path.write_bytes(self._quantized or quantization.convert(self._model()))
            case "onnx":
                self._model().export(path, format="onnx", input_signature=[self.images], verbose=False)

    def load(self, path: Path) -> Runner:
        match self.case.deploy:
            case "savedmodel":
                saved = tf.saved_model.load(path)
                return TensorFlowRunner(saved, saved.serve, self.images)
            case "litert":
                from stagebench.frameworks.tensorflow.litert import LiteRTRunner

                return LiteRTRunner(path, self.case.batch_size, self.pipeline.runtime_info().threads)
            case "onnx":
                from stagebench.frameworks.onnx import OnnxRunner

                return OnnxRunner(path, channels_first=False)
        model = self._network()
        model.load_weights(path)
        return TensorFlowRunner(model, EXECUTION[self.case.execution](model), self.images)

    def _trainer(self) -> Pipeline:
        """Return what trains: the pipeline, if its batches can be trained in."""
        case = replace(self.case, batch_size=training_batch(self.case.batch_size))
        if case == self.case:
            return self.pipeline
        return type(self.pipeline)(case, self.pipeline.workload, self.pipeline.manifest)

    def _model(self) -> keras.Model:
        """Return the pipeline's model as it is deployed."""
        return self.pipeline.model if self.pipeline.deploys_batch_norm else self._without_optimizer()

    def _without_optimizer(self) -> keras.Model:
        """Return a copy of it."""
        copy, weights = self._network(), self.pipeline.weights()
        if not self.pipeline.deploys_batch_norm:
            weights = self.pipeline.network.fold_batch_norm(weights)
        models.set_weights(copy, weights)
        return copy

    def _network(self) -> keras.Model:
        return self.pipeline.new_network(self.pipeline.deploys_batch_norm)


EXECUTION: dict[str, Callable[[keras.Model], Callable[[tf.Tensor], tf.Tensor]]] = {
    "default": lambda model: tf.function(model),
    "eager": lambda model: model,
    "compiled": lambda model: tf.function(model, jit_compile=True),
}
"""How a model in Python is called. Layers are in inference mode unless told otherwise."""


class TensorFlowRunner:
    """See `contract.Runner`."""

    def __init__(self, model: Any, forward: Callable[[tf.Tensor], tf.Tensor], images: tf.TensorSpec) -> None:
        """Take a model and what makes logits of images by it; this does not keep its variables alive."""
        self.model, self.forward, self.images = model, forward, images

    def feed(self, images: NDArray[np.float32]) -> tf.Tensor:
        return tf.constant(images)

    def run(self, batch: tf.Tensor) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self.forward(batch).numpy()
        return logits

    def integer_layers(self) -> int:
        """Count the operations of the graph, and of the graphs that it calls, that multiply integers."""
        graph: Any = tf.function(self.forward).get_concrete_function(self.images).graph.as_graph_def()
        nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
        multiplying = [node for node in nodes if node.op in ("Conv2D", "MatMul")]
        return sum(tf.as_dtype(node.attr["T"].type).is_integer for node in multiplying)
