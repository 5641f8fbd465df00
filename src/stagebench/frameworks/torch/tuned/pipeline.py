"""The recipe `tuned` in PyTorch: equal work, by the fastest practice of PyTorch and its ecosystem.

`data.py` and `training.py` have tables of what was tried.
"""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from stagebench.frameworks.contract import Epoch, Evaluation, Split
from stagebench.frameworks.torch import model as models
from stagebench.frameworks.torch import pipeline as pytorch
from stagebench.frameworks.torch.execution import as_case_runs
from stagebench.frameworks.torch.training import Batches, Settings
from stagebench.frameworks.torch.tuned import data, training


class Pipeline(pytorch.Pipeline):
    """See `contract.Pipeline`; what is not here is as in the recipe `matched`."""

    deploys_batch_norm = False

    def evaluate(self) -> Evaluation:
        """Evaluate with BatchNorm folded into the convolutions, which spares a pass over every image."""
        folded = self.new_network(batch_norm=False)
        models.set_weights(folded, self.network.fold_batch_norm(self.weights()))
        return training.evaluate(as_case_runs(folded, self.case), self._epoch("test"), self.device)

    def _make_model(self) -> None:
        with models.uninitialized():
            super()._make_model()

    def _train_epoch_of(
        self, model: nn.Module, optimizer: Optimizer, batches: Batches, settings: Settings | None = None
    ) -> Epoch:
        return training.train_epoch(model, optimizer, batches, self.device, self.scaler, settings)

    def _epoch(self, split: Split) -> Batches:
        if split not in self._loaders:
            self._loaders[split] = data.Loader(split, self.case, self.workload, self.manifest, self.device)
        loader: data.Loader = self._loaders[split]
        return loader
