"""How models are trained beside what the workload says, equal in all frameworks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdamSettings:
    """Adam (Kingma and Ba, 2015), without weight decay; the learning rate is the workload's."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    """The frameworks place it differently: torch adds it to the corrected root of the second moment, Keras
    to the uncorrected one ("epsilon hat"), which acts as up to `1 / sqrt(1 - beta_2)` = 32 times as much."""


ADAM = AdamSettings()
FINE_TUNING = 0.01
"""Share of the learning rate at which trained weights are trained on, quantization-aware or not: after Wu et
al. (2020), "Integer Quantization for Deep Learning Inference". At all of it, 3 points of accuracy went."""


def training_batch(batch_size: int) -> int:
    """Return the batch in which a model is trained that is used in this one; one image has no statistics.

    So trained, accuracy went from 0.94 to 0.76.
    """
    return batch_size if batch_size > 1 else 32
