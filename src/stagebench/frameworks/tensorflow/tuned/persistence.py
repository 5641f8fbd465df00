"""Model files of the recipe `tuned`: values alone, of a model that its code builds, as NumPy's `.npz`.

What was tried for `article` with its optimiser (medians of 30 in ms, two shared cores of an AMD EPYC):

| tried | saving | loading |
|---|---|---|
| `.keras`, as by the other recipes | 118 | 446 |
| `save_weights`, `load_weights`: `.weights.h5` | 99 | 336 |
| `tf.train.Checkpoint` | 68 | 277 |
| `.npz` (used) | 26 | 251 |
| of that, Keras makes the model | | 205 |
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np


def save(model: keras.Model, path: Path) -> None:
    """Write all variables of a model and of its optimiser, in their order."""
    with Path(path).open("wb") as file:  # `savez` would add a suffix to a name
        np.savez(file, *(variable.numpy() for variable in _variables(model)))


def load(model: keras.Model, path: Path) -> None:
    """Read a file into a model that is built and compiled like the saved one; nothing in it is executed."""
    with np.load(path, allow_pickle=False) as values:
        for variable, name in zip(_variables(model), values.files, strict=True):
            variable.assign(values[name])


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
