"""The matrix: from the values of each axis to the cases of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from stagebench.case import AXES, Axis, Case
from stagebench.frameworks import FRAMEWORKS
from stagebench.stages.stage import Stage

Values = Mapping[str, Sequence[Any]]
"""By axis; of `deploy`, none stands for every export format that a framework has."""


def cases(stage: type[Stage], environments: Mapping[str, str], values: Values) -> list[Case]:
    """Return every case of a stage once, those of a group next to each other.

    Args:
        stage: which axes apply is a matter of its traits.
        environments: name of the framework in each.
        values: of every axis.

    """
    axes = [axis for axis in AXES.values() if axis.applies(stage.traits)]
    apart = [axis for axis in axes if axis.separates]
    # A model that is deployed stands beside itself in another precision.
    together = sorted((a for a in axes if not a.separates), key=lambda axis: "deploys" not in axis.traits)
    found: dict[Case, None] = {}
    for group in product(*(stage.values(axis.name, values[axis.name]) for axis in apart)):
        settings = {axis.name: value for axis, value in zip(apart, group, strict=True)}
        for case in _of_a_group(environments, together, values):
            case = replace(case, **settings).at(stage.traits)
            if case.deploy:
                form = FRAMEWORKS[case.framework].export_format(case.deploy)
                deployed = stage.as_deployed(case, form)
                if deployed is None:
                    continue
                case = deployed
            found[case] = None
    return list(found)


def _of_a_group(environments: Mapping[str, str], axes: Sequence[Axis], values: Values) -> Iterator[Case]:
    for recipe, (environment, name) in product(values["recipe"], environments.items()):
        framework = FRAMEWORKS[name]
        own = {axis.name: framework.values(axis, values[axis.name]) for axis in axes} | {"recipe": [recipe]}
        for combination in product(*own.values()):
            yield Case(name, environment, **dict(zip(own, combination, strict=True)))
