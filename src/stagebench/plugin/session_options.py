"""The settings of a session: what its options come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest

from stagebench.case import AXES, Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.frameworks import FRAMEWORKS, INSTALLED
from stagebench.plugin.options import NOISE_PROCESSES, NONE, OPTIONS, PRESET, option_name
from stagebench.plugin.presets import PRESETS, Preset
from stagebench.run.conditions import Schedule
from stagebench.run.environments import Environment
from stagebench.stages import STAGES, matrix

SETTINGS = pytest.StashKey["SessionOptions"]()


class OptionError(Exception):
    """Options that contradict each other; the message is one sentence."""


@dataclass(frozen=True)
class SessionOptions:
    """What the options of a session come to."""

    values: Mapping[str, Any]
    preset: Preset

    @classmethod
    def resolve(cls, given: Callable[[str], Any]) -> SessionOptions:
        """Take each option's value as given, else from the preset, else its default.

        `given` returns the parsed value of an option by name, or None.
        """
        name = given(PRESET.name) or PRESET.default
        preset = PRESETS[name]
        values = {}
        for option in OPTIONS:
            value = given(option.name)
            if value is None:
                default = option.default() if callable(option.default) else option.default
                value = preset.values.get(option.name, default)
            values[option.name] = value
        fixed = given("processes") or given("within") or values["noise"]
        if fixed and given("budget") is None:
            values["budget"] = None
        if values["noise"] and given("processes") is None:
            values["processes"] = NOISE_PROCESSES
        names = [environment.name for environment in values["env"]]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise OptionError(f"--env names {' and '.join(sorted(repeated))} more than once")
        if given("max_time") and not values["within"]:
            raise OptionError("--max-time limits --within, which is not given")
        settings = cls(values, preset)
        if not settings.environments:
            return settings
        if (empty := [stage for stage in settings.stages if not settings.cases(stage)]) and preset.rows:
            raise OptionError(
                f"--preset {name} has no such case; its tables have, though not in every combination, "
                f"{preset.axes}"
            )
        if empty and "deploys" not in STAGES[empty[0]].traits:
            raise OptionError(f"no case of {empty[0]} is left: no framework has what these options ask for")
        if empty:
            known = {name: [form.title for form in FRAMEWORKS[name].export_formats] for name in INSTALLED}
            forms = "; ".join(f"{name}: {', '.join(forms)}" for name, forms in known.items())
            raise OptionError(f"no case of {empty[0]} is left by these options; export formats are {forms}")
        return settings

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if stage in self.values["stages"])

    @property
    def schedule(self) -> Schedule:
        return Schedule(**self._fields_of(Schedule))

    @property
    def environments(self) -> dict[str, Environment]:
        """By name: the running interpreter for each framework, then those that were added."""
        here = [Environment(name, name) for name in self.values["frameworks"] if name != NONE]
        return {environment.name: environment for environment in (*here, *self.values["env"])}

    def cases(self, stage: str) -> list[Case]:
        """Return the cases of a stage, those of a group next to each other."""
        frameworks = {name: environment.framework for name, environment in self.environments.items()}
        values = {axis.name: self.values[option_name(axis.option)] for axis in AXES.values()}
        return self.preset.keep(matrix.cases(STAGES[stage], frameworks, values))

    @property
    def dataset_request(self) -> DatasetRequest:
        return DatasetRequest(self.values["dataset"], **self._fields_of(DatasetRequest, "source"))

    def workload(self, manifest: Manifest) -> Workload:
        """Return the workload on a data set, whose number of classes decides the width of the model."""
        return Workload(len(manifest.classes), **self._fields_of(Workload, "classes"))

    def _fields_of(self, cls: type[Any], but: str = "") -> dict[str, Any]:
        """Return the values of the options that are named as a dataclass' fields are."""
        return {field.name: self.values[field.name] for field in fields(cls) if field.name != but}
