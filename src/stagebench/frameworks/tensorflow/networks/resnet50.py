"""ResNet-50 in Keras."""

from __future__ import annotations

from functools import partial

from stagebench.frameworks.tensorflow.networks.resnet import KINDS, build_resnet
from stagebench.networks.resnet50 import NETWORK

__all__ = ["KINDS", "build"]

build = partial(build_resnet, NETWORK)
"""See `build_resnet`."""
