"""The pipeline in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stagebench.case import Case, Workload
from stagebench.dataset import Manifest
from stagebench.pipelines.contract import (
    Epoch,
    Evaluation,
    Facts,
    Layer,
    Split,
    UnavailableError,
    WatchedEpoch,
)
from stagebench.pipelines.pytorch import model as network
from stagebench.pipelines.pytorch import persistence, training
from stagebench.specification import Weights, initial_weights

KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "batch_norm",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max_pool",
    nn.Flatten: "global_average_pool",  # together with the AdaptiveAvgPool2d before it
    nn.Linear: "dense",
}


class Pipeline:
    """See `contract.Pipeline`."""

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        if case.device == "cuda" and not torch.cuda.is_available():
            raise UnavailableError(f"torch {torch.__version__} sees no CUDA device")
        self.case, self.workload, self.manifest = case, workload, manifest
        self.device = torch.device(case.device)
        # The article makes cuDNN deterministic in PyTorch only.
        torch.backends.cudnn.deterministic = case.recipe == "published"
        torch.backends.cudnn.benchmark = False
        torch.manual_seed(workload.seed)
        self.initial_weights = initial_weights(workload.classes, workload.seed)
        self.model: nn.Module
        self.optimizer: torch.optim.Adam
        self._loaders: dict[Split, Any] = {}

    def load_data(self) -> list[Tensor]:
        label_batches = []
        for images, labels in self._epoch("train"):
            images.to(self.device)
            label_batches.append(labels.to(self.device))
        return label_batches

    def build_model(self) -> None:
        self._make_model()
        if self.case.recipe != "published":
            network.set_weights(self.model, self.initial_weights)

    def train(self, epochs: int) -> list[Epoch]:
        return [self._train_epoch(self._epoch("train")) for _ in range(epochs)]

    def save_model(self, path: Path) -> None:
        if self.case.recipe == "published":
            persistence.save_script(self.model, path)
        else:
            persistence.save_checkpoint(self.model, self.optimizer, path)

    def load_model(self, path: Path) -> None:
        if self.case.recipe == "published":
            self.model = persistence.load_script(path, self.device)
        else:
            self._make_model()
            persistence.load_checkpoint(path, self.model, self.optimizer, self.device)

    def evaluate(self) -> Evaluation:
        return training.evaluate(self.case.recipe, self.model, self._epoch("test"), self.device)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def facts(self) -> Facts:
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else ""
        return Facts(str(torch.__version__), name, torch.get_num_threads())

    def watch_training(self) -> WatchedEpoch:
        start = perf_counter()
        batches = training.WatchedBatches(self._epoch("train"))
        epoch = self._train_epoch(batches)
        self.synchronize()
        return WatchedEpoch(epoch, perf_counter() - start, batches.wait_seconds)

    def peak_gpu_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None

    def class_indices(self, labels: list[Tensor]) -> NDArray[np.int64]:
        return torch.cat(labels).cpu().numpy()

    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for images, labels in self._epoch(split):
            yield images.permute(0, 2, 3, 1).cpu().numpy(), labels.cpu().numpy()

    def layers(self) -> list[Layer]:
        rows = []

        def add_row(module: nn.Module, _: object, output: Tensor) -> None:
            shape = output.shape[1:]
            statistics = [b for b in module.buffers() if b.dim()]  # not num_batches_tracked
            parameters = sum(value.numel() for value in [*module.parameters(), *statistics])
            channels_last = (*shape[1:], shape[0]) if len(shape) == 3 else tuple(shape)
            rows.append(Layer(KINDS[type(module)], channels_last, parameters))

        hooks = [m.register_forward_hook(add_row) for m in self.model.modules() if type(m) in KINDS]
        self.predict(np.zeros((1, self.workload.input_size, self.workload.input_size, 3), np.float32))
        for hook in hooks:
            hook.remove()
        return rows

    def weights(self) -> Weights:
        return network.get_weights(self.model, self.workload.classes)

    def trainable_weights(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def set_weights(self, weights: Weights) -> None:
        network.set_weights(self.model, weights)
        training.reset_optimizer(self.optimizer)

    @torch.no_grad()
    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.model.eval()
        logits: Tensor = self.model(torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device))
        return logits.cpu().numpy()

    def _make_model(self) -> None:
        self.model = network.build(self.case.recipe, self.workload.classes).to(self.device)
        self.optimizer = training.build_optimizer(
            self.case.recipe, self.model.parameters(), self.workload.learning_rate
        )

    def _train_epoch(self, batches: training.Batches) -> Epoch:
        return training.train_epoch(self.case.recipe, self.model, self.optimizer, batches, self.device)

    def _epoch(self, split: Split) -> training.Batches:
        """Return the split's loader, set to its next epoch; made at first use, as part of `cold`."""
        # Here, because it imports torchvision: 160 MB of memory, for which `tuned` has no use.
        from stagebench.pipelines.pytorch import data

        if split not in self._loaders:
            self._loaders[split] = data.loader(split, self.case, self.workload, self.manifest)
        loader = self._loaders[split]
        loader.dataset.epoch += 1
        return loader
