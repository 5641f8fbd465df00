"""A network over two devices in PyTorch, each half of its layers on one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stagebench.case import Case
from stagebench.frameworks.contract import UnavailableError
from stagebench.frameworks.stacks import halves

Devices = tuple[str, str]


class Split(nn.Module):
    """The halves of a stack of layers, after PyTorch's tutorial on model parallelism.

    Logits go back to the first device, where the labels are; so the loss is computed there, as in TensorFlow.
    """

    def __init__(self, *layers: nn.Module, devices: Devices) -> None:
        super().__init__()
        first, second = halves(layers, lambda layer: isinstance(layer, (nn.Conv2d, nn.Linear)))
        self.first, self.second = nn.Sequential(*first), nn.Sequential(*second)
        self.devices = devices

    def forward(self, images: Tensor) -> Tensor:
        """Take images float32 [B, 3, H, W] on the first device, return logits float32 [B, classes] there."""
        first, second = self.devices
        activations = self.first(images)
        logits: Tensor = self.second(activations.to(second))
        return logits.to(first)


def devices(case: Case) -> Devices:
    """Return where the halves of a case's network lie."""
    if case.device != "cuda":
        raise UnavailableError("torch has one CPU device: split needs a GPU")
    return "cuda", "cpu"


def form(devices: Devices) -> dict[str, Any]:
    """Return what a builder is told, so that it splits its network."""
    return {"assemble": partial(Split, devices=devices)}


@torch.no_grad()
def transfers(model: Split, images: Tensor) -> Callable[[], None]:
    """Return what moves all that crosses between the halves in a training step: both ways, once.

    These are the activations and the logits of a batch of images [B, 3, H, W], and their gradients.
    """
    first, second = model.devices
    model.eval()
    crossing = [model.first(images), model(images)]

    def move() -> None:
        for tensor in crossing:
            tensor.to(second).to(first)  # a gradient is as large, and goes the other way

    return move
