"""Model files in Keras by the recipes `published` and `matched`: `.keras`, the network with its optimiser."""

from __future__ import annotations

from pathlib import Path

import keras


def save(model: keras.Model, path: Path) -> None:
    """Write the model and its optimiser."""
    model.save(path)


def load(path: Path) -> keras.Model:
    """Read a model onto the default device."""
    return keras.models.load_model(path)
