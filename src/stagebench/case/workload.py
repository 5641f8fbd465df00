"""What is computed. Equal for all cases of a session."""

from __future__ import annotations

from dataclasses import dataclass

from stagebench.datasets.request import DatasetRequest


@dataclass(frozen=True)
class Workload:
    """Data, training and seed; the network is an axis, the optimiser is Adam."""

    classes: int
    """How many classes the data set has; the width of the model's last layer."""
    input_size: int = 32
    """Height and width of the model's input, in pixels."""
    epochs: int = 1
    """Epochs in one training round."""
    learning_rate: float = 0.001
    """Adam's learning rate."""
    seed: int = DatasetRequest.seed
    """Where every random number of the pipeline comes from: initial weights, shuffling, flips."""
