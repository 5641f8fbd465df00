"""ResNet-50: 25.6 million parameters at 224 pixels and 1,000 classes."""

from __future__ import annotations

from stagebench.networks.resnet import ResNet


class ResNet50(ResNet):
    """See `resnet.py`."""

    name = "resnet50"
    blocks = (3, 4, 6, 3)
    bottleneck = True


NETWORK = ResNet50()
