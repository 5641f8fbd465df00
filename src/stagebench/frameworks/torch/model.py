"""A model in PyTorch, of any network: who builds it, its memory format, its weights in canonical layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from stagebench.networks import Network
from stagebench.networks.weights import Weights

MEMORY_FORMAT = {
    "published": torch.contiguous_format,
    "matched": torch.contiguous_format,
    "tuned": torch.channels_last,
}


def builder(network: Network) -> ModuleType:
    """Return the file of `networks/` that has `build` and `KINDS` of this network."""
    return import_module(f"{__package__}.networks.{network.name}")


@contextmanager
def uninitialized() -> Iterator[None]:
    """Let a network be built without initial weights: 0.4 instead of 1.1 ms. All must be set."""
    with ExitStack() as stack:
        for layer in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):
            stack.enter_context(mock.patch.object(layer, "reset_parameters", _leave_as_it_is))
        yield


def _leave_as_it_is(layer: nn.Module) -> None:
    """Stand in for a layer's `reset_parameters`."""


def get_weights(model: nn.Module, names: Iterable[str]) -> Weights:
    """Return copies of the model's variables by their canonical names, which are given in order."""
    values = (value.detach().cpu().numpy() for value in _variables(model))
    return {name: to_canonical(name, value) for name, value in zip(names, values, strict=True)}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Give the model's variables new values."""
    for variable, (name, value) in zip(_variables(model), weights.items(), strict=True):
        variable.copy_(torch.from_numpy(from_canonical(name, value)))


def to_canonical(name: str, value: Any) -> Any:
    """Copy a variable into canonical layout.

    A kernel [out, in, height, width] becomes [height, width, in, out], and [out, in] becomes [in, out].
    """
    if name.endswith("/kernel"):
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    return value.copy()


def from_canonical(name: str, value: Any) -> Any:
    """Undo `to_canonical`."""
    if name.endswith("/kernel"):
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return value.copy()


def _variables(model: nn.Module) -> list[Tensor]:
    """Parameters and running statistics; BatchNorm's batch counter, which nothing reads, is left out."""
    return [value for value in model.state_dict().values() if value.dim()]
