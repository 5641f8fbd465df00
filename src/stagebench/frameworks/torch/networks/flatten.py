"""Flattening in the order in which Keras flattens, so that the same weights are right in both."""

from __future__ import annotations

from torch import Tensor, nn


class FlattenPixels(nn.Module):
    """Put an image into a row, pixel by pixel."""

    def forward(self, images: Tensor) -> Tensor:
        """Take [B, C, H, W], return [B, H * W * C]; of images in `channels_last`, a view."""
        return images.permute(0, 2, 3, 1).flatten(1)
