"""The article's model files in PyTorch: TorchScript, the network without its optimiser."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

SUFFIX = ".pt"


def save(model: nn.Module, path: Path) -> None:
    """Compile the model to TorchScript and write it."""
    torch.jit.script(model).save(str(path))


def load(path: Path, device: torch.device) -> nn.Module:
    """Read a TorchScript model onto the device."""
    model: nn.Module = torch.jit.load(str(path), map_location=device)
    return model
