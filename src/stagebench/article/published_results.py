"""What two write-ups published.

Times: https://github.com/infocusp/tf_pt_benchmarking. Its tables are of CIFAR-100, stored as JPEGs of 64x64
and resized to 32x32: seed 25, 20 epochs. The rows of `deepfashion`, a larger data set, say neither the device
nor how many epochs.

Quantization: https://github.com/abhilad1009/Pytorch_vs_Tensorflow and its paper, of ResNet18 without
BatchNorm on CIFAR-10, on a CPU.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Literal

from stagebench.case import AXES, Case

Dataset = Literal["cifar100", "deepfashion"]


@dataclass(frozen=True)
class PublishedResult:
    """One row: a case, what it computed, and how long that took."""

    dataset: str
    framework: str
    device: str
    """`cpu`, `cuda` or `not stated`."""
    device_name: str
    augment: str
    batch_size: int
    workers: int | Literal["auto"]
    cache: str
    train_images: int
    test_images: int
    epochs: int | None
    """None where the article does not say."""
    training_seconds: int
    """Of all epochs together."""
    evaluation_seconds: int

    def is_of(self, case: Case) -> bool:
        """Say whether it is of a case, as far as its axes are stated and apply to the case's stage."""
        axes = ((getattr(case, name), getattr(self, name)) for name in OF_ROWS)
        return case.framework == self.framework and all(
            own is None or published in (own, "not stated") for own, published in axes
        )


OF_ROWS = [name for name in AXES if name in {field.name for field in fields(PublishedResult)}]
"""The axes that the article's tables have."""


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the write-up on quantization."""

    framework: str
    model: str
    """`baseline`, `ptq` or `qat`; `int8` where it is not said which of them."""
    figure: str
    """`accuracy`, `latency_seconds`, `file_bytes`, `calibration_seconds`, or as a share `added_training`."""
    value: float
    about: bool
    """Whether it is given roughly, or read off a picture."""
    source: str


@cache
def published_quantization() -> tuple[PublishedFigure, ...]:
    """Return the figures of the write-up on quantization, a framework's baseline before its other models."""
    with files("stagebench.article").joinpath("published_quantization.csv").open(encoding="utf-8") as lines:
        return tuple(
            PublishedFigure(
                framework=row["framework"],
                model=row["model"],
                figure=row["figure"],
                value=float(row["value"]),
                about=row["about"] == "yes",
                source=row["source"],
            )
            for row in csv.DictReader(lines)
        )


@cache
def published_results(dataset: Dataset) -> tuple[PublishedResult, ...]:
    """Return the rows of a data set, in the order of the article."""
    with files("stagebench.article").joinpath("published_results.csv").open(encoding="utf-8") as lines:
        return tuple(_result(row) for row in csv.DictReader(lines) if row["dataset"] == dataset)


def _result(row: dict[str, str]) -> PublishedResult:
    return PublishedResult(
        dataset=row["dataset"],
        framework=row["framework"],
        device=row["device"],
        device_name=row["device_name"],
        augment=row["augment"],
        batch_size=int(row["batch_size"]),
        workers="auto" if row["workers"] == "auto" else int(row["workers"]),
        cache=row["cache"],
        train_images=int(row["train_images"]),
        test_images=int(row["test_images"]),
        epochs=int(row["epochs"]) if row["epochs"] else None,
        training_seconds=int(row["training_seconds"]),
        evaluation_seconds=int(row["evaluation_seconds"]),
    )
