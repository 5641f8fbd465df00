"""The network in PyTorch, and its weights in canonical layout."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from stagebench.specification import NETWORK, Weights

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.1, eps 1e-5
    # PyTorch's momentum is the share of a running statistic that a step replaces.
    "matched": {"momentum": 1 - NETWORK.batch_norm_decay, "eps": NETWORK.batch_norm_epsilon},
}


def build(recipe: str, classes: int) -> nn.Sequential:
    """Return the network of the specification, with PyTorch's initial weights.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes].
    """
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise((3, *NETWORK.channels)):
        layers += [
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding="same"),
            nn.BatchNorm2d(channels_out, **BATCH_NORM[recipe]),
            nn.ReLU(),
            nn.MaxPool2d(NETWORK.pool),
        ]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(NETWORK.channels[-1], NETWORK.hidden),
        nn.ReLU(),
        nn.Linear(NETWORK.hidden, classes),
    )


def get_weights(model: nn.Module, classes: int) -> Weights:
    """Return copies of the model's variables."""
    values = (value.detach().cpu().numpy() for value in _variables(model))
    return {
        name: to_canonical(value).copy() for name, value in zip(NETWORK.shapes(classes), values, strict=True)
    }


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Give the model's variables new values."""
    for variable, value in zip(_variables(model), weights.values(), strict=True):
        variable.copy_(torch.from_numpy(from_canonical(value)))


def to_canonical(value: Any) -> Any:
    """Turn [out, in, height, width] into [height, width, in, out] and [out, in] into [in, out]."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


def from_canonical(value: Any) -> Any:
    """Undo `to_canonical`."""
    return value.transpose(3, 2, 0, 1).copy() if value.ndim == 4 else value.T.copy()


def _variables(model: nn.Module) -> list[Tensor]:
    """Parameters and running statistics; BatchNorm's batch counter, which nothing reads, is left out."""
    return [value for value in model.state_dict().values() if value.dim()]
