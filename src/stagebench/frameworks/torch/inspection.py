"""The arithmetic of the PyTorch network laid open; see `contract.Inspector`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stagebench.case import Case, Workload
from stagebench.frameworks.contract import Array
from stagebench.frameworks.torch import api, placement, training
from stagebench.frameworks.torch import model as models
from stagebench.networks.weights import Weights


class Inspector:
    """See `contract.Inspector`."""

    def __init__(self, case: Case, workload: Workload, precision: str) -> None:
        self.recipe, self.network = case.recipe, case.built_network
        classes, size = workload.classes, workload.input_size
        self.shapes = self.network.shapes(classes, size)
        self.dtype: torch.dtype = getattr(torch, precision)
        self.format = models.MEMORY_FORMAT[self.recipe]
        # There is one CPU device: it is both of those between which a model is split.
        form = placement.form(("cpu", "cpu")) if case.placement == "split" else api.FORMS[case.api]
        model = models.builder(self.network).build(self.recipe, classes, size, **form)
        self.model = model.to(dtype=self.dtype, memory_format=self.format)

    def logits(self, weights: Weights, images: Array, training: bool) -> Array:
        self._set(weights)
        self.model.train(training)
        with torch.no_grad():
            logits: Tensor = self.model(self._images(images))
        return logits.numpy()

    def loss_and_gradients(self, weights: Weights, images: Array, labels: Array) -> tuple[float, Weights]:
        self._set(weights)
        self.model.train()
        still = torch.optim.SGD(self.model.parameters(), lr=0.0)
        loss, _ = training.train_step(self.model, still, self._images(images), torch.from_numpy(labels))
        names = [name for name in weights if self.network.trainable(name)]
        gradients = [parameter.grad.numpy() for parameter in self.model.parameters()]
        return loss.item(), {
            name: models.to_canonical(name, gradient) for name, gradient in zip(names, gradients, strict=True)
        }

    def train(
        self,
        weights: Weights,
        batches: list[tuple[Array, Array]],
        optimizer: str,
        learning_rate: float,
        accumulate: int = 1,
        loop: str = "default",
    ) -> tuple[list[float], Weights]:
        self._set(weights)
        self.model.train()
        stepper: Any = (
            training.build_optimizer(self.recipe, self.model.parameters(), learning_rate)
            if optimizer == "adam"
            else torch.optim.SGD(self.model.parameters(), lr=learning_rate)
        )
        accumulation, losses = training.Accumulation(accumulate), []
        for images, labels in batches:
            batch = self._images(images), torch.from_numpy(labels)
            loss, _ = training.train_step(self.model, stepper, *batch, accumulation=accumulation)
            losses.append(loss.item())
        return losses, models.get_weights(self.model, self.shapes)

    def adam_path(self, start: Array, gradients: list[Array], learning_rate: float) -> list[Array]:
        variable = torch.nn.Parameter(torch.from_numpy(start.astype(self._numpy_dtype)))
        optimizer = training.build_optimizer(self.recipe, [variable], learning_rate)
        path = []
        for gradient in gradients:
            variable.grad = torch.from_numpy(gradient.astype(self._numpy_dtype))
            optimizer.step()
            path.append(variable.detach().numpy().copy())
        return path

    @property
    def _numpy_dtype(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    def _set(self, weights: Weights) -> None:
        models.set_weights(self.model, weights)

    def _images(self, images: Array) -> Tensor:
        return (
            torch.from_numpy(images).permute(0, 3, 1, 2).to(self.dtype).contiguous(memory_format=self.format)
        )
