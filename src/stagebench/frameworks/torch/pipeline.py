"""The pipeline in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

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
    WatchedEpoch,
)
from stagebench.frameworks.torch import api, execution, persistence, placement, training
from stagebench.frameworks.torch import model as models
from stagebench.frameworks.torch.scalar_log import ScalarLog
from stagebench.networks.weights import Weights


class Pipeline(contract.Pipeline):
    """See `contract.Pipeline`."""

    deploys_batch_norm = True
    """Whether deployed models have BatchNorm as a layer, or as part of the convolutions."""

    def __init__(self, case: Case, workload: Workload, manifest: Manifest) -> None:
        self.case, self.workload, self.manifest = case, workload, manifest
        self.network = case.built_network
        self.builder = models.builder(self.network)
        combinations.check(case, self.builder.build)
        execution.check(case)
        self.device = torch.device(case.device)
        # The article makes cuDNN deterministic in PyTorch only.
        torch.backends.cudnn.deterministic = case.recipe == "published"
        torch.backends.cudnn.benchmark = False
        torch.manual_seed(workload.seed)
        self.form = api.FORMS[case.api]
        if case.placement == "split":
            self.form = placement.form(placement.devices(case))
        self.initial_weights = self.network.initial_weights(
            workload.classes, workload.input_size, workload.seed
        )
        self.model: nn.Module
        self.optimizer: torch.optim.Adam
        self.accumulation: training.Accumulation
        self.scaler = execution.gradient_scaler(case)
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
            models.set_weights(self.model, self.initial_weights)

    def train(self, epochs: int) -> list[Epoch]:
        return self._train(epochs, lambda: self._epoch("train"))

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
        model = execution.as_case_runs(self.model, self.case)
        return training.evaluate(self.case.recipe, model, self._epoch("test"), self.device)

    def fine_tune(self) -> None:
        self.train_other(self.model)

    def deployer(self) -> Deployer:
        from stagebench.frameworks.torch import deployer  # it may import what only deployment needs

        return deployer.Deployer(self)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def runtime_info(self) -> RuntimeInfo:
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else ""
        return RuntimeInfo(str(torch.__version__), name, torch.get_num_threads())

    def watch_training(self) -> WatchedEpoch:
        start = perf_counter()
        batches = training.WatchedBatches(self._epoch("train"))
        (epoch,) = self._train(1, lambda: batches)
        self.synchronize()
        return WatchedEpoch(epoch, perf_counter() - start, batches.wait_seconds)

    def transfers(self) -> Callable[[], None] | None:
        if not isinstance(self.model, placement.Split):
            return None
        size = self.workload.input_size
        images = torch.zeros(self.case.batch_size, 3, size, size, device=self.device)
        return placement.transfers(self.model, images)

    def profile(self, path: Path, work: Callable[[], object]) -> list[Operation]:
        from stagebench.frameworks.torch import profiling

        return profiling.profile(path, work, self.device)

    def peak_gpu_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None

    def class_indices(self, labels: list[Tensor]) -> NDArray[np.int64]:
        return torch.cat(labels).cpu().numpy()

    def batches(self, split: Split) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for images, labels in self._epoch(split):
            yield images.permute(0, 2, 3, 1).cpu().numpy(), labels.cpu().numpy()

    def layers(self) -> list[Layer]:
        rows, kinds = [], self.builder.KINDS

        def add_row(module: nn.Module, _: object, output: Tensor) -> None:
            shape = output.shape[1:]
            statistics = [b for b in module.buffers() if b.dim()]  # not num_batches_tracked
            parameters = sum(value.numel() for value in [*module.parameters(), *statistics])
            channels_last = (*shape[1:], shape[0]) if len(shape) == 3 else tuple(shape)
            rows.append(Layer(kinds[type(module)], channels_last, parameters))

        hooks = [m.register_forward_hook(add_row) for m in self.model.modules() if type(m) in kinds]
        self.predict(np.zeros((1, self.workload.input_size, self.workload.input_size, 3), np.float32))
        for hook in hooks:
            hook.remove()
        return rows

    def weights(self) -> Weights:
        shapes = self.network.shapes(self.workload.classes, self.workload.input_size)
        return models.get_weights(self.model, shapes)

    def trainable_weights(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def set_weights(self, weights: Weights) -> None:
        models.set_weights(self.model, weights)
        training.reset_optimizer(self.optimizer)
        self.scaler = execution.gradient_scaler(self.case)
        self.accumulation = training.Accumulation(self.case.accumulate)

    @torch.no_grad()
    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.model.eval()
        model = execution.in_precision(self.model, self.case)
        logits: Tensor = model(torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device))
        return logits.cpu().numpy()

    # What a deployer needs beside the contract.

    def new_network(self, batch_norm: bool = True) -> nn.Module:
        """Return the case's network on the device. It has no initial weights, and nothing to train it."""
        with models.uninitialized():
            model = self._build(batch_norm)
        return self._on_device(model)

    def train_other(self, model: nn.Module) -> None:
        """Fine-tune another model, which is trained otherwise as this pipeline's is, for one epoch."""
        self._train_epoch_of(model, self._build_optimizer(model, FINE_TUNING), self._epoch("train"))

    def _make_model(self) -> None:
        self.model = self._on_device(self._build())
        self.optimizer = self._build_optimizer(self.model)
        self.accumulation = training.Accumulation(self.case.accumulate)

    def _build(self, batch_norm: bool = True) -> nn.Module:
        recipe, classes, size = self.case.recipe, self.workload.classes, self.workload.input_size
        return self.builder.build(recipe, classes, size, batch_norm, **self.form)

    def _on_device(self, model: nn.Module) -> nn.Module:
        """Return a model where the case has it, in the recipe's memory format."""
        model = model.to(self.device, memory_format=models.MEMORY_FORMAT[self.case.recipe])
        if isinstance(model, placement.Split):
            model.second.to(model.devices[1])
        return model

    def _build_optimizer(self, model: nn.Module, share: float = 1.0) -> torch.optim.Adam:
        learning_rate = share * self.workload.learning_rate
        return training.build_optimizer(self.case.recipe, model.parameters(), learning_rate)

    def _train(self, epochs: int, batches: Callable[[], training.Batches]) -> list[Epoch]:
        """Train as the case's settings say; `batches` returns those of the next epoch."""
        model = execution.as_case_runs(self.model, self.case)
        by_epoch = by_update = None
        if self.case.schedule == "one_cycle":
            by_epoch = LambdaLR(self.optimizer, partial(one_cycle, steps=epochs))
        elif self.case.schedule == "one_cycle_step":
            steps = updates(self.case, len(self.manifest.train), epochs)
            by_update = LambdaLR(self.optimizer, partial(one_cycle, steps=steps))
        log = ScalarLog() if self.case.logging == "tensorboard" else None
        settings = training.Settings(self.accumulation, by_update, log)
        history = []
        for _ in range(epochs):
            history.append(self._train_epoch_of(model, self.optimizer, batches(), settings))
            if log:
                log.add_epoch(history[-1], self.optimizer.param_groups[0]["lr"])
            if by_epoch:
                by_epoch.step()
        if log:
            log.close()
        return history

    def _train_epoch_of(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        batches: training.Batches,
        settings: training.Settings | None = None,
    ) -> Epoch:
        return training.train_epoch(
            self.case.recipe, model, optimizer, batches, self.device, self.scaler, settings
        )

    def _epoch(self, split: Split) -> training.Batches:
        """Return the split's loader, set to its next epoch; made at first use, as part of `cold`."""
        # Here, because it imports torchvision: 160 MB of memory, for which `tuned` has no use.
        from stagebench.frameworks.torch import data

        if split not in self._loaders:
            self._loaders[split] = data.loader(split, self.case, self.workload, self.manifest)
        loader = self._loaders[split]
        loader.dataset.epoch += 1
        return loader
