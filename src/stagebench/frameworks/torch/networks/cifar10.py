"""The CNN for CIFAR-10 in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from stagebench.frameworks.torch.networks.flatten import FlattenPixels
from stagebench.frameworks.torch.networks.relu import RELU
from stagebench.networks.cifar10 import NETWORK


def build(
    recipe: str,
    classes: int,
    input_size: int,
    batch_norm: bool = True,
    assemble: Callable[..., nn.Module] = nn.Sequential,
) -> nn.Module:
    """Return the network, with PyTorch's initial weights; it has no BatchNorm.

    It takes images float32 [B, 3, H, W] and returns logits float32 [B, classes]. `assemble` makes a model of
    the layers, as `--api` and `--placement` say.
    """
    layers: list[nn.Module] = []
    width = 3
    for channels in NETWORK.channels:
        layers += [nn.Conv2d(width, channels, kernel_size=3), nn.ReLU(**RELU[recipe])]
        layers += [nn.MaxPool2d(NETWORK.pool)]
        width = channels
    return assemble(
        *layers[:-1],  # no pooling behind the last
        FlattenPixels(),
        nn.Linear(NETWORK.features(input_size), NETWORK.hidden),
        nn.ReLU(**RELU[recipe]),
        nn.Linear(NETWORK.hidden, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max_pool",
    FlattenPixels: "flatten",
    nn.Linear: "dense",
}
"""What the model table calls the layers; others have no row."""
