"""The network in PyTorch, and its weights in canonical layout."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from stagebench.networks.article import NETWORK, Weights

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.1, eps 1e-5
    # PyTorch's momentum is the share of a running statistic that a step replaces.
    "matched": {"momentum": 1 - NETWORK.batch_norm_decay, "eps": NETWORK.batch_norm_epsilon},
    "tuned": {"momentum": 1 - NETWORK.batch_norm_decay, "eps": NETWORK.batch_norm_epsilon},
}
PADDING: Mapping[str, Any] = {"published": "same", "matched": "same", "tuned": 1}
"""Equal for a 3x3 kernel, but "same" takes the first convolution 0.37 instead of 0.20 ms (two cores)."""
MEMORY_FORMAT = {
    "published": torch.contiguous_format,
    "matched": torch.contiguous_format,
    "tuned": torch.channels_last,
}
RELU: Mapping[str, Mapping[str, Any]] = {"published": {}, "matched": {}, "tuned": {"inplace": True}}


def build(recipe: str, classes: int, batch_norm: bool = True) -> nn.Sequential:
    """Return the network of the specification, with PyTorch's initial weights.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes]. Without `batch_norm`, it is
    the network that takes the weights of `specification.fold_batch_norm`.
    """
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise((3, *NETWORK.channels)):
        layers.append(nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=PADDING[recipe]))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels_out, **BATCH_NORM[recipe]))
        layers += [nn.ReLU(**RELU[recipe]), nn.MaxPool2d(NETWORK.pool)]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(NETWORK.channels[-1], NETWORK.hidden),
        nn.ReLU(**RELU[recipe]),
        nn.Linear(NETWORK.hidden, classes),
    )


def build_uninitialized(recipe: str, classes: int, batch_norm: bool = True) -> nn.Sequential:
    """Return the network of `build` without initial weights: 0.4 instead of 1.1 ms. All must be set."""
    with ExitStack() as stack:
        for layer in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):
            stack.enter_context(mock.patch.object(layer, "reset_parameters", _leave_as_it_is))
        return build(recipe, classes, batch_norm)


def _leave_as_it_is(layer: nn.Module) -> None:
    """Stand in for a layer's `reset_parameters`."""


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
