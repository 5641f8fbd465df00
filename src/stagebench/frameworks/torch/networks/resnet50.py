"""ResNet-50 in PyTorch."""

from __future__ import annotations

from functools import partial

from stagebench.frameworks.torch.networks.resnet import KINDS, build_resnet
from stagebench.networks.resnet50 import NETWORK

__all__ = ["KINDS", "build"]

build = partial(build_resnet, NETWORK)
"""See `build_resnet`."""
