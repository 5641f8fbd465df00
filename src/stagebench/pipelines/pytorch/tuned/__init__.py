"""The recipe `tuned` in PyTorch: equal work, by the fastest practice of PyTorch and its ecosystem.

`data.py` and `training.py` have tables of what was tried.
"""

from __future__ import annotations

from stagebench.pipelines import pytorch
from stagebench.pipelines.contract import Epoch, Evaluation, Split
from stagebench.pipelines.memory import retain_freed_memory
from stagebench.pipelines.pytorch import model as network
from stagebench.pipelines.pytorch.training import Batches, build_optimizer
from stagebench.pipelines.pytorch.tuned import data, training
from stagebench.specification import fold_batch_norm


class Pipeline(pytorch.Pipeline):
    """See `contract.Pipeline`; what is not here is as in the recipe `matched`."""

    def evaluate(self) -> Evaluation:
        """Evaluate with BatchNorm folded into the convolutions, which spares a pass over every image."""
        folded = network.build_uninitialized(self.case.recipe, self.workload.classes, batch_norm=False)
        folded = folded.to(self.device, memory_format=network.MEMORY_FORMAT[self.case.recipe])
        network.set_weights(folded, fold_batch_norm(self.weights()))
        return training.evaluate(folded, self._epoch("test"), self.device)

    def _train_epoch(self, batches: Batches) -> Epoch:
        return training.train_epoch(self.model, self.optimizer, batches, self.device)

    def _make_model(self) -> None:
        model = network.build_uninitialized(self.case.recipe, self.workload.classes)
        self.model = model.to(self.device, memory_format=network.MEMORY_FORMAT[self.case.recipe])
        self.optimizer = build_optimizer(
            self.case.recipe, self.model.parameters(), self.workload.learning_rate
        )

    def _epoch(self, split: Split) -> Batches:
        if split not in self._loaders:
            retain_freed_memory()  # from where on each batch takes what the one before has freed
            self._loaders[split] = data.Loader(split, self.case, self.workload, self.manifest, self.device)
        loader: data.Loader = self._loaders[split]
        return loader
