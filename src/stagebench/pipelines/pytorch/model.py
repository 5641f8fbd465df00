"""The article's network in PyTorch, with the initial weights that PyTorch gives."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

CHANNELS = (3, 32, 64, 128, 128)


def build(classes: int) -> nn.Sequential:
    """Four blocks of convolution, BatchNorm, ReLU and pooling, then two dense layers.

    Takes images float32 [B, 3, H, W], returns logits float32 [B, classes].
    """
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise(CHANNELS):
        layers += [
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding="same"),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(CHANNELS[-1], 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )
