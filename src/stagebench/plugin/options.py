"""The options of `pytest benchmarks`: what they are called, what they take, and what they come to."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from stagebench.case import AXES, Axis, Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.frameworks import FRAMEWORKS, INSTALLED, values_of
from stagebench.machine.info import gpu_names, usable_threads
from stagebench.plugin.presets import PRESETS, Preset
from stagebench.run.environments import Environment
from stagebench.run.schedule import ROUND_SECONDS, Schedule
from stagebench.stages import DEPLOYMENT, PIPELINE, STAGES, matrix

Parser = Callable[[str], Any]
NONE = "none"
"""Of the frameworks of the running interpreter."""
NOISE_PROCESSES = 5
"""Fresh processes of each case and its A/A copy, where nothing else is said."""


def one_of(*known: str) -> Parser:
    """Take one of the known words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ArgumentTypeError(f"unknown value {text!r}; known: {', '.join(known)}")
        return text

    return parse


def integer(minimum: int, maximum: int = 10**9) -> Parser:
    """Take a whole number within bounds."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < minimum:
            raise ArgumentTypeError(f"{text!r} is not a whole number of {minimum} or more")
        if number > maximum:
            raise ArgumentTypeError(f"{text!r} is above {maximum}, the largest allowed")
        return number

    return parse


def positive_number(text: str) -> float:
    """Take a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def percentage(text: str) -> float:
    """Take a percentage above 0, such as `2%`, as a share."""
    if not text.endswith("%"):
        raise ArgumentTypeError(f"{text!r} is not a percentage such as 2%")
    return positive_number(text.removesuffix("%")) / 100


def threads(text: str) -> int:
    """Take a number of threads that this process has processors for."""
    number: int = integer(1)(text)
    if number > usable_threads():
        raise ArgumentTypeError(f"{text!r} is above {usable_threads()}, the processors that may be used here")
    return number


def file_to_write(text: str) -> Path:
    """Take the path of a file that can be written, so that hours of measuring do not end in a refusal."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder; give the path of a file in it")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise ArgumentTypeError(f"{text!r} cannot be written: {str(there)!r} is not a folder")
    if not os.access(path if path.exists() else there, os.W_OK):
        raise ArgumentTypeError(f"{text!r} cannot be written: permission denied")
    return path


def folder_to_write(text: str) -> Path:
    """Take the path of a folder in which files can be written, and make it if it is not there."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a file; give the path of a folder")
    file_to_write(str(path / "trace"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"{text!r} cannot be made: {error.strerror}") from None
    return path


def comma_list(parse_item: Parser) -> Parser:
    """Take values separated by commas; a repeated value counts once."""

    def parse(text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(parse_item(item.strip()) for item in text.split(",")))

    return parse


@dataclass(frozen=True)
class Option:
    """One option of `pytest benchmarks`."""

    flag: str
    parse: Parser | None
    """What takes its value; None for a switch."""
    default: Any
    help: str
    repeatable: bool = False

    @property
    def name(self) -> str:
        return _name(self.flag)

    @property
    def arguments(self) -> dict[str, Any]:
        """What `argparse` is told of it. A value that was not given is None, so that a preset can fill it."""
        if self.parse is None:
            return {"action": "store_const", "const": True, "default": None, "help": self.help}
        action = "append" if self.repeatable else "store"
        return {
            "action": action,
            "type": self.parse,
            "default": None,
            "metavar": "VALUE",
            "help": self.help.replace("%", "%%"),
        }


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


class OptionError(Exception):
    """Options that contradict each other; the message is one sentence."""


def _axis_option(axis: Axis) -> Option:
    """Return the option that takes an axis's values."""
    allowed = values_of(axis)
    parse = one_of(*allowed) if allowed else integer(axis.least)
    default: Any = axis.defaults
    of = ", ".join(allowed)
    told = f"of {of}: {axis.help}" if of else axis.help
    if axis.name == "device":
        default = _devices
    elif axis.name == "deploy":
        default = ()
    else:
        told += f" (default: {','.join(map(str, axis.defaults))})"
    return Option(axis.option, comma_list(parse), default, told)


def _devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if gpu_names() else ("cpu",)


OPTIONS = (
    Option(
        "--frameworks",
        comma_list(one_of(*FRAMEWORKS, NONE)),
        lambda: tuple(INSTALLED),
        f"of {', '.join(FRAMEWORKS)} (default: every real one installed); {NONE}: only those of --env",
    ),
    Option(
        "--stages",
        comma_list(one_of(*STAGES)),
        PIPELINE,
        f"of {', '.join(PIPELINE)} (default: these), {', '.join(DEPLOYMENT)}",
    ),
    *map(_axis_option, AXES.values()),
    Option(
        "--dataset",
        str,
        "synthetic",
        "synthetic (default), cifar100:ARCHIVE, or a folder train/<class>/*.jpg, test/<class>/*.jpg",
    ),
    Option("--skip-bad-images", None, False, "leave out images of a folder that cannot be used"),
    Option("--train-images", integer(1), 2000, "training images of the synthetic data set (default: 2000)"),
    Option("--test-images", integer(1), 400, "test images of the synthetic data set (default: 400)"),
    Option("--classes", integer(2), 100, "classes of the synthetic data set (default: 100)"),
    Option("--image-size", integer(8), 64, "height and width of a stored image, in pixels (default: 64)"),
    Option("--input-size", integer(16), 32, "height and width of the model's input, in pixels (default: 32)"),
    Option("--epochs", integer(1), 1, "epochs in a training round (default: 1)"),
    Option("--seed", integer(0, 2**32 - 1), 25, "where all random numbers come from (default: 25)"),
    Option("--learning-rate", positive_number, 0.001, "Adam's learning rate (default: 0.001)"),
    Option(
        "--rounds",
        integer(1),
        None,
        "timed rounds in each fresh process (default: 5, and more of a short stage, until they take "
        f"{ROUND_SECONDS:g} s)",
    ),
    Option(
        "--processes",
        integer(1),
        1,
        f"fresh processes for each case; verdicts need 3 (default: 1; with --noise {NOISE_PROCESSES})",
    ),
    Option(
        "--within",
        percentage,
        None,
        "e.g. 2%: start more processes until the interval of each ratio is within +- this",
    ),
    Option("--max-time", positive_number, None, "seconds for --within, in each group (default: 300)"),
    Option("--stage-timeout", positive_number, None, "seconds after which a stage that hangs is ended"),
    Option("--threads", threads, None, "threads and processors of each worker process"),
    Option(
        "--retain-memory",
        None,
        False,
        "let worker processes keep what they free (glibc): faster and steadier",
    ),
    Option(
        "--profile", folder_to_write, None, "folder for a profiler's trace of each case, made off the clock"
    ),
    Option("--noise", None, False, "measure each case against itself too, and keep what they differ by"),
    Option(
        "--env",
        Environment.parse,
        (),
        "NAME=PYTHON: another interpreter to run a framework in, e.g. torch@2.14.1=PATH; repeatable",
        repeatable=True,
    ),
)

PRESET = Option(
    "--preset",
    one_of(*PRESETS),
    "quick",
    "what stands in for the defaults: "
    + "; ".join(f"{name}: {preset.help}" for name, preset in PRESETS.items())
    + " (default: quick)",
)
"""An option that is given wins over its preset."""


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
        if values["noise"] and given("processes") is None:
            values["processes"] = NOISE_PROCESSES
        names = [environment.name for environment in values["env"]]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise OptionError(f"--env names {' and '.join(sorted(repeated))} more than once")
        if values["max_time"] and not values["within"]:
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
            known = {name: [form.name for form in FRAMEWORKS[name].export_formats] for name in INSTALLED}
            forms = "; ".join(f"{name}: {', '.join(forms)}" for name, forms in known.items())
            raise OptionError(f"no case of {empty[0]} is left by these options; export formats are {forms}")
        return settings

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if stage in self.values["stages"])

    @property
    def schedule(self) -> Schedule:
        given = {field.name: self.values[field.name] for field in fields(Schedule)}
        return Schedule(**{name: value for name, value in given.items() if value is not None})

    @property
    def environments(self) -> dict[str, Environment]:
        """By name: the running interpreter for each framework, then those that were added."""
        here = [Environment(name, name) for name in self.values["frameworks"] if name != NONE]
        return {environment.name: environment for environment in (*here, *self.values["env"])}

    def cases(self, stage: str) -> list[Case]:
        """Return the cases of a stage, those of a group next to each other."""
        frameworks = {name: environment.framework for name, environment in self.environments.items()}
        values = {axis.name: self.values[_name(axis.option)] for axis in AXES.values()}
        return self.preset.keep(matrix.cases(STAGES[stage], frameworks, values))

    @property
    def dataset_request(self) -> DatasetRequest:
        names = ("train_images", "test_images", "classes", "image_size", "seed", "skip_bad_images")
        return DatasetRequest(self.values["dataset"], **{name: self.values[name] for name in names})

    def workload(self, manifest: Manifest) -> Workload:
        """Return the workload on a data set, whose number of classes decides the width of the model."""
        names = ("input_size", "epochs", "learning_rate", "seed")
        return Workload(len(manifest.classes), **{name: self.values[name] for name in names})
