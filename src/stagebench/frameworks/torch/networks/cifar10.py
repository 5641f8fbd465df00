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
    form = NETWORK.form(recipe, "torch")
    layers: list[nn.Module] = []
    width = 3
    for channels in form.channels:
        layers += [nn.Conv2d(width, channels, kernel_size=3, padding=form.padding), nn.ReLU(**RELU[recipe])]
        layers += [nn.MaxPool2d(form.pool)]
        width = channels
    return assemble(
        *(layers if form.pools_last else layers[:-1]),
        nn.Flatten() if recipe == "published" else FlattenPixels(),
        nn.Linear(form.features(input_size), form.hidden),
        nn.ReLU(**RELU[recipe]),
        nn.Linear(form.hidden, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max_pool",
    nn.Flatten: "flatten",
    FlattenPixels: "flatten",
    nn.Linear: "dense",
}
"""What the model table calls the layers; others have no row."""
