"""How models are trained beside what the workload says, equal in all frameworks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi

from stagebench.case.case import Case


@dataclass(frozen=True)
class AdamSettings:
    """Adam (Kingma and Ba, 2015), without weight decay; the learning rate is the workload's."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    """The frameworks place it differently: torch adds it to the corrected root of the second moment, Keras
    to the uncorrected one ("epsilon hat"), which acts as up to `1 / sqrt(1 - beta_2)` = 32 times as much."""


ADAM = AdamSettings()
PIXELS: Mapping[str, tuple[float, float]] = {"half": (0.5, 0.5)}
"""By `normalize`: what is subtracted from pixels from 0 to 1, and what they are divided by then."""
FINE_TUNING = 0.01
"""Share of the learning rate at which trained weights are trained on, quantization-aware or not: after Wu et
al. (2020), "Integer Quantization for Deep Learning Inference". At all of it, 3 points of accuracy went."""

RISE = 0.3
"""Share of a training in which the one-cycle schedule rises."""


def one_cycle(step: int, steps: int) -> float:
    """Return the learning rate of a step as a share of the maximum; after the last it stays as it ends.

    A step is an epoch or an update. From a half to the whole in the first 30% of the steps, and down to a
    third in the rest, each by half a cosine: J. Sieber, "TensorFlow 2 vs PyTorch" (2019). Frameworks multiply
    it by the maximum in float64.
    """
    progress = min(step / steps, 1.0)
    if progress < RISE:
        return _half_cosine(1 / 2, 1.0, progress / RISE)
    return _half_cosine(1.0, 1 / 3, (progress - RISE) / (1 - RISE))


def _half_cosine(start: float, end: float, position: float) -> float:
    return start + (1 + cos(pi * (1 - position))) * (end - start) / 2


def updates(case: Case, images: int, epochs: int) -> int:
    """Return how many updates a training of so many images an epoch makes, at least 1."""
    batches = -(-images // case.batch_size) * epochs
    return max(1, batches // case.accumulate)


def training_batch(batch_size: int) -> int:
    """Return the batch in which a model is trained that is used in this one; one image has no statistics.

    So trained, accuracy went from 0.94 to 0.76.
    """
    return batch_size if batch_size > 1 else 32
