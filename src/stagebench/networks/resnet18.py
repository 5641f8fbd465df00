"""ResNet-18: 11.7 million parameters at 224 pixels and 1,000 classes."""

from __future__ import annotations

from stagebench.networks.resnet import ResNet


class ResNet18(ResNet):
    """See `resnet.py`."""

    name = "resnet18"
    blocks = (2, 2, 2, 2)
    bottleneck = False
    deployed_epochs = 1


NETWORK = ResNet18()
