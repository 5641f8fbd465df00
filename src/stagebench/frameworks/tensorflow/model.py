"""A model in Keras, of any network: who builds it, its precision, its weights in canonical layout."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

import keras

from stagebench.networks import Network
from stagebench.networks.weights import Weights

VARIABLES = {
    "kernel": "kernel",
    "bias": "bias",
    "scale": "gamma",
    "offset": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
    "class": "class_token",
    "position": "positions",
}
"""What Keras calls the variables of a layer."""


def builder(network: Network) -> ModuleType:
    """Return the file of `networks/` that has `build` and `KINDS` of this network."""
    return import_module(f"{__package__}.networks.{network.name}")


def set_precision(model: keras.Model, precision: str) -> None:
    """Let the layers compute in `precision`, but the last one: its logits, and all weights, are float32.

    A model has its own policies, because Keras' global one would reach the other models of the process.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    for layer in model.layers[:-1]:
        if not isinstance(layer, keras.layers.InputLayer) and layer.dtype_policy.name != policy:
            layer.dtype_policy = policy


def variables(model: keras.Model, names: Iterable[str]) -> list[keras.Variable]:
    """Return variables by their canonical names, which are those of the layers."""
    layers = {layer.name: layer for layer in model.layers}
    placed = (name.split("/") for name in names)
    return [getattr(layers[layer], VARIABLES[variable]) for layer, variable in placed]


def get_weights(model: keras.Model, names: Iterable[str]) -> Weights:
    """Return copies of the model's variables by their canonical names."""
    names = list(names)
    return {name: value.numpy() for name, value in zip(names, variables(model, names), strict=True)}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give the model's variables new values."""
    for variable, value in zip(variables(model, weights), weights.values(), strict=True):
        variable.assign(value)
