"""The recipe `tuned` in TensorFlow: equal work, by the fastest practice of TensorFlow and Keras.

What was tried, in milliseconds a step (batch 32, two cores of an AMD EPYC); data loading is in `data.py`:

| tried | training | evaluation |
|---|---|---|
| `fit` and `evaluate` | 15.6 | 4.9 |
| a loop of one's own in a `tf.function` | 15.0 | 4.2 |
| the same compiled by XLA | 23.7 | 4.0 |
| oneDNN off | 24.3 | 4.6 |
| all steps of an epoch in one execution | 14.2 | 3.4 |
| the same, fused BatchNorm (used for training) | 12.1 | 3.6 |
| the same, one thread between operations | 13.7 | 3.8 |
| the same, TensorFlow's fused Adam, for which Keras has no public way | 11.6 | |
| the same, no BatchNorm, as it is folded (used for evaluation) | | 2.8 |
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks.contract import Evaluation, Split
from stagebench.frameworks.tensorflow import model as models
from stagebench.frameworks.tensorflow import pipeline as tensorflow
from stagebench.frameworks.tensorflow import training
from stagebench.frameworks.tensorflow.tuned import data, persistence


class Pipeline(tensorflow.Pipeline):
    """See `contract.Pipeline`; what is not here is as in the recipe `matched`."""

    deploys_batch_norm = False

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        super().__init__(case, workload, manifest)
        self._folded: keras.Model | None = None

    def save_model(self, path: Path) -> None:
        persistence.save(self.model, path)

    def load_model(self, path: Path) -> None:
        self.model = self.new_network()
        self._compile(self.model)
        self._set_schedule()
        persistence.load(self.model, path)

    def evaluate(self) -> Evaluation:
        """Evaluate with BatchNorm folded into the convolutions, which spares a pass over every image."""
        if self._folded is None:
            self._folded = self.new_network(batch_norm=False)
            self._compile(self._folded, "test")
        models.set_weights(self._folded, self.network.fold_batch_norm(self.weights()))
        return training.evaluate(self._folded, self._loader("test"))

    def _set_execution(self, model: keras.Model, split: Split = "train") -> None:
        """Let Keras run all steps of an epoch in one execution of its graph; one where each step is logged.

        Keras calls no callback within an execution.
        """
        super()._set_execution(model, split)
        if self.case.logging == "none":
            model.steps_per_execution = -(-len(self.manifest.labels(split)) // self.case.batch_size)

    def _loader(self, split: Split) -> tf.data.Dataset:
        if split not in self._loaders:
            self._loaders[split] = data.loader(
                split, self.case, self.workload, self.manifest, self.runtime_info().threads
            )
        return self._loaders[split]
