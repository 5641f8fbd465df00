"""The multilayer perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from stagebench.frameworks.torch.networks.flatten import FlattenPixels
from stagebench.frameworks.torch.networks.relu import RELU
from stagebench.networks.mlp import NETWORK


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
    return assemble(
        FlattenPixels(),
        nn.Linear(input_size * input_size * 3, NETWORK.hidden),
        nn.ReLU(**RELU[recipe]),
        nn.Linear(NETWORK.hidden, classes),
    )


KINDS: Mapping[type[nn.Module], str] = {FlattenPixels: "flatten", nn.ReLU: "relu", nn.Linear: "dense"}
"""What the model table calls the layers; others have no row."""
