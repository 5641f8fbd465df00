"""The presets of `pytest benchmarks`: named sets of values, and which cases of their product are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stagebench.article.published_results import OF_ROWS, PublishedResult, published_results
from stagebench.case import AXES, Case

QUICK = "quick"
STANDS_FOR = {"simulated": "torch"}
"""Whose rows a framework gets that the article has none of: the suite's own tests run on `simulated`."""


@dataclass(frozen=True)
class Preset:
    """What a preset stands for."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By an option's name: what stands in for its default. An option that is given wins."""
    rows: Collection[PublishedResult] = ()
    """Of the product of the axes, only the cases that are one of these rows are kept; empty: all of them."""
    estimated: bool = True
    """Whether a session says how long the rest will take."""

    def keep(self, cases: Iterable[Case]) -> list[Case]:
        """Return the cases that belong to the preset."""
        if not self.rows:
            return list(cases)
        return [case for case in cases if any(row.is_of(_of_article(case)) for row in self.rows)]

    @property
    def axes(self) -> str:
        """The values that the rows have, as options."""
        axes = {
            "--frameworks": _distinct(row.framework for row in self.rows),
            **{AXES[name].option: _distinct(getattr(row, name) for row in self.rows) for name in OF_ROWS},
        }
        return " ".join(f"{flag}={','.join(map(str, values))}" for flag, values in axes.items())


def _of_article(case: Case) -> Case:
    """Return the case that the article's tables have in place of one."""
    return replace(case, framework=STANDS_FOR.get(case.framework, case.framework))


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted({value for value in values if value != "auto"}))


def _article() -> Preset:
    rows = published_results("cifar100")
    (train_images,) = {row.train_images for row in rows}
    (test_images,) = {row.test_images for row in rows}
    (epochs,) = {row.epochs for row in rows}
    return Preset(
        {
            "batch_sizes": _distinct(row.batch_size for row in rows),
            "workers": _distinct(row.workers for row in rows),
            "cache": _distinct(row.cache for row in rows),
            "augment": _distinct(row.augment for row in rows),
            "recipes": ("published",),
            "train_images": train_images,
            "test_images": test_images,
            "epochs": epochs,
            "seed": 25,
            "rounds": 1,
            "processes": 1,
        },
        rows,
    )


def _large() -> Preset:
    """Return the article's second data set, in size: on any device, which the article does not state."""
    row = next(row for row in published_results("deepfashion") if row.framework == "torch")
    return Preset(
        {
            "batch_sizes": (row.batch_size,),
            "workers": (row.workers,),
            "cache": (row.cache,),
            "augment": (row.augment,),
            "recipes": ("published",),
            "train_images": row.train_images,
            "test_images": row.test_images,
            "image_size": 128,
            "epochs": 1,  # not stated by the article
            "rounds": 1,
            "processes": 1,
        },
    )


PRESETS: Mapping[str, Preset] = {
    QUICK: Preset({"budget": 300}, estimated=False),
    "article": _article(),
    "large": _large(),
}
