"""How layers become a model in PyTorch: the values of `--api`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Subclass(nn.Module):
    """Layers as attributes, and a `forward` that goes through them.

    They have the names that `nn.Sequential` would give them, so that either takes the other's state.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.names = [str(number) for number in range(len(layers))]
        for name, layer in zip(self.names, layers, strict=True):
            setattr(self, name, layer)

    def forward(self, images: Tensor) -> Tensor:
        """Take images float32 [B, 3, H, W], return logits float32 [B, classes]."""
        outputs = images
        for name in self.names:
            outputs = getattr(self, name)(outputs)
        return outputs


FORMS: Mapping[str, Mapping[str, Any]] = {"sequential": {}, "subclass": {"assemble": Subclass}}
"""What a builder is told; it writes `nn.Sequential` itself."""
