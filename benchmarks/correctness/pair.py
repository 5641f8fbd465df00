"""Pipelines and inspectors in worker processes, of one framework or of both side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from stagebench.case import AXES, Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS
from stagebench.networks import DEFAULT, NETWORKS
from stagebench.networks.weights import Weights
from stagebench.run.process import WorkerProcess

BY_RECIPE = [
    pytest.param(recipe, marks=[pytest.mark.nightly("promises no equal work")] * (recipe == "published"))
    for recipe in AXES["recipe"].values
]
"""Parameters of a test of one framework."""
OF_SETTINGS = [
    "matched",
    pytest.param("tuned", marks=pytest.mark.nightly("has the settings of training by the same means")),
]
"""Recipes in which settings of training are tried."""
CLASSES = 100
"""Of the network that inspectors look into."""


class Remote:
    """A `Pipeline` or `Inspector` in a worker process: the same methods; dataclasses come back as dicts."""

    def __init__(self, worker: WorkerProcess, target: str) -> None:
        self._worker, self._target = worker, target

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self._worker.request(
            "call", target=self._target, method=method, arguments=list(arguments)
        )


def open_pipeline(
    worker: WorkerProcess, framework: str, manifest: Manifest, workload: dict[str, Any], **axes: Any
) -> Remote:
    """Make a fresh pipeline in the worker process, which forgets the one before."""
    values = {
        "device": "cpu",
        "batch_size": 32,
        "workers": 0,
        "cache": "off",
        "augment": "off",
        "recipe": "matched",
        "environment": framework,
        **axes,
    }
    if FRAMEWORKS[framework].chooses_workers:
        values["workers"] = "auto"
    workload = {"classes": len(manifest.classes), **workload}
    worker.send_open(Case(framework, **values), Workload(**workload), manifest)
    worker.receive()
    return Remote(worker, "pipeline")


@dataclass(frozen=True)
class Pair:
    """Both frameworks, each in its own worker process."""

    workers: dict[str, WorkerProcess]
    manifest: Manifest
    recipe: str = "matched"
    network: str = DEFAULT
    size: int = Workload(CLASSES).input_size
    """Pixels a side of what the network takes."""
    steps: int = 50
    """Of gradient descent."""

    def pipelines(self, manifest: Manifest | None = None, **changes: Any) -> list[Remote]:
        """Return a fresh pipeline of each; `changes` are axes of the case or fields of the workload."""
        of_workload = {name: value for name, value in changes.items() if name in Workload.__annotations__}
        workload = {"input_size": self.size, **of_workload}
        axes = {name: value for name, value in changes.items() if name not in of_workload}
        axes = {"recipe": self.recipe, "network": self.network, **axes}
        return [
            open_pipeline(worker, framework, manifest or self.manifest, workload, **axes)
            for framework, worker in self.workers.items()
        ]

    @property
    def initial_weights(self) -> Callable[[int], Weights]:
        """What the network starts from, by the seed."""
        return partial(NETWORKS[self.network].initial_weights, CLASSES, self.size)

    def inspectors(self, precision: str, **form: str) -> list[Remote]:
        """Return the network's arithmetic in each, at a precision, by an `api` or `placement`."""
        for framework, worker in self.workers.items():
            case = Case(framework, framework, recipe=self.recipe, network=self.network, **form)
            workload = Workload(CLASSES, input_size=self.size)
            worker.request("inspect", case=plain(case), workload=plain(workload), precision=precision)
        return [Remote(worker, "inspector") for worker in self.workers.values()]
