"""The matrix: from the values of each axis to the cases of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from stagebench.case import COMPUTING, DEPLOYMENT_STAGES, Case, Stage
from stagebench.frameworks import FRAMEWORKS


@dataclass(frozen=True)
class Matrix:
    """The values of each axis; the cases are their product."""

    environments: Mapping[str, str]
    """Name of the framework in each environment."""
    devices: Sequence[str] = ("cpu",)
    batch_sizes: Sequence[int] = (32,)
    workers: Sequence[int] = (0,)
    cache: Sequence[str] = ("on",)
    augment: Sequence[str] = ("on",)
    recipes: Sequence[str] = ("matched",)
    precision: Sequence[str] = ("float32",)
    execution: Sequence[str] = ("default",)
    deploy: Sequence[str] = ()
    """Forms in which models are deployed; empty: every one that a framework has."""
    quantize: Sequence[str] = ("none",)

    def cases(self, stage: Stage) -> list[Case]:
        """Every case of a stage once, rivals next to each other."""
        found = self._deployed(stage) if stage in DEPLOYMENT_STAGES else self._of_pipeline(stage)
        return list(dict.fromkeys(found))

    def _of_pipeline(self, stage: Stage) -> Iterator[Case]:
        computing = stage in COMPUTING
        variants = product(self.precision, self.execution) if computing else [("float32", "default")]
        auto: Sequence[int | Literal["auto"]] = ("auto",)
        for device, batch_size, cache, augment, (precision, execution), recipe, environment in product(
            self.devices,
            self.batch_sizes,
            self.cache,
            self.augment,
            variants,
            self.recipes,
            self.environments,
        ):
            framework = FRAMEWORKS[self.environments[environment]]
            # A framework that chooses its loading threads is one case, not one for each number of workers.
            for workers in auto if framework.chooses_workers else self.workers:
                yield Case(
                    framework.name,
                    device,
                    batch_size,
                    workers,
                    cache,
                    augment,
                    recipe,
                    environment,
                    precision,
                    framework.execution(execution),
                )

    def _deployed(self, stage: Stage) -> Iterator[Case]:
        """Yield the cases of a stage at which there is no data loading to be varied.

        An exported file is of one batch size: the first. Latency is that of single images, so that batch 1 is
        measured too.
        """
        sizes = (1, *self.batch_sizes) if stage == "inference" else self.batch_sizes[:1]
        for device, batch_size, recipe, environment in product(
            self.devices, sizes, self.recipes, self.environments
        ):
            framework = FRAMEWORKS[self.environments[environment]]
            workers: int | Literal["auto"] = "auto" if framework.chooses_workers else 0
            case = Case(framework.name, device, batch_size, workers, "on", "on", recipe, environment)
            for form, quantize in product(framework.export_formats, self.quantize):
                if self.deploy and form.name not in self.deploy:
                    continue
                deployed = replace(case, deploy=form.name, quantize=quantize)
                if quantize == "none" and stage == "inference" and form.in_process:
                    for precision, execution in product(self.precision, self.execution):
                        if (actual := framework.execution(execution)) in form.executions:
                            yield replace(deployed, precision=precision, execution=actual)
                elif quantize in form.quantize and (
                    (stage == "inference" and "float32" in self.precision)
                    or (stage == "quantization" and quantize != "none")
                    or (stage == "exporting" and quantize == "none" and not form.in_process)
                ):
                    yield deployed
