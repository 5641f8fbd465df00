"""The network of the article in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from stagebench.frameworks.torch.networks.relu import RELU
from stagebench.networks.article import NETWORK

BATCH_NORM: Mapping[str, Mapping[str, Any]] = {
    "published": {},  # momentum 0.1, eps 1e-5
    # PyTorch's momentum is the share of a running statistic that a step replaces.
    "matched": {"momentum": 1 - NETWORK.batch_norm_decay, "eps": NETWORK.batch_norm_epsilon},
    "tuned": {"momentum": 1 - NETWORK.batch_norm_decay, "eps": NETWORK.batch_norm_epsilon},
}
PADDING: Mapping[str, Any] = {"published": "same", "matched": "same", "tuned": 1}
"""Equal for a 3x3 kernel, but "same" takes the first convolution 0.37 instead of 0.20 ms (two cores)."""


def build(
    recipe: str,
    classes: int,
    input_size: int,
    batch_norm: bool = True,
    assemble: Callable[..., nn.Module] = nn.Sequential,
) -> nn.Module:
    """Return the network, with PyTorch's initial weights.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes]. `assemble` makes a model of
    the layers, as `--api` and `--placement` say. Without `batch_norm`, it is the network that takes
    the weights of `Network.fold_batch_norm`.
    """
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise((3, *NETWORK.channels)):
        layers.append(nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=PADDING[recipe]))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels_out, **BATCH_NORM[recipe]))
        layers += [nn.ReLU(**RELU[recipe]), nn.MaxPool2d(NETWORK.pool)]
    return assemble(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(NETWORK.channels[-1], NETWORK.hidden),
        nn.ReLU(**RELU[recipe]),
        nn.Linear(NETWORK.hidden, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "batch_norm",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max_pool",
    nn.Flatten: "global_average_pool",  # together with the AdaptiveAvgPool2d before it
    nn.Linear: "dense",
}
"""What the model table calls the layers; others have no row."""
