"""Model files in PyTorch.

- published: TorchScript, the network without its optimiser.
- matched: a checkpoint with the state of network and optimiser, as a `.keras` file has it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer


def save_script(model: nn.Module, path: Path) -> None:
    """Compile the model to TorchScript and write it."""
    torch.jit.script(model).save(str(path))


def load_script(path: Path, device: torch.device) -> nn.Module:
    """Read a TorchScript model onto the device."""
    model: nn.Module = torch.jit.load(str(path), map_location=device)
    return model


def save_checkpoint(model: nn.Module, optimizer: Optimizer, path: Path) -> None:
    """Write the state of model and optimiser."""
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)


def load_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer, device: torch.device) -> None:
    """Read a checkpoint into a model and its optimiser; nothing in the file is executed."""
    checkpoint = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
