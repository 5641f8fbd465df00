"""The options of `pytest benchmarks`: what they are called, what they take, and what they come to."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from stagebench.case import (
    ALL_STAGES,
    DEPLOYMENT_STAGES,
    DEVICES,
    EXECUTIONS,
    PRECISIONS,
    QUANTIZE,
    RECIPES,
    STAGES,
    SWITCH,
    Case,
    Stage,
    Workload,
)
from stagebench.datasets import DatasetRequest, Manifest
from stagebench.frameworks import FORMATS, FRAMEWORKS, INSTALLED
from stagebench.machine.info import gpu_names, usable_threads
from stagebench.plugin.presets import PRESETS, Preset
from stagebench.run.environments import Environment
from stagebench.run.schedule import ROUND_SECONDS, Schedule
from stagebench.stages.matrix import Matrix

Parser = Callable[[str], Any]
NONE = "none"
"""Of the frameworks of the running interpreter."""


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


def precisions(text: str) -> Any:
    """Take what layers compute in; or, as it was once written, the percentage that is now `--within`'s."""
    return percentage(text) if text[:1].isdigit() else comma_list(one_of(*PRECISIONS))(text)


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
        return self.flag.removeprefix("--").replace("-", "_")

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


class OptionError(Exception):
    """Options that contradict each other; the message is one sentence."""


def _default_devices() -> tuple[str, ...]:
    return DEVICES if gpu_names() else ("cpu",)


OPTIONS = (
    Option(
        "--frameworks",
        comma_list(one_of(*FRAMEWORKS, NONE)),
        lambda: tuple(INSTALLED),
        f"of {', '.join(FRAMEWORKS)} (default: every real one installed); {NONE}: only those of --env",
    ),
    Option(
        "--devices",
        comma_list(one_of(*DEVICES)),
        _default_devices,
        "of cpu, cuda (default: cpu, and cuda where there is an NVIDIA GPU)",
    ),
    Option("--batch-sizes", comma_list(integer(1)), (32,), "images in a batch (default: 32)"),
    Option(
        "--workers",
        comma_list(integer(0)),
        (0,),
        "data-loading processes, for frameworks that do not choose by themselves (default: 0)",
    ),
    Option("--cache", comma_list(one_of(*SWITCH)), SWITCH, "of off, on (default: off,on)"),
    Option("--augment", comma_list(one_of(*SWITCH)), ("on",), "of off, on (default: on)"),
    Option(
        "--recipes",
        comma_list(one_of(*RECIPES)),
        ("matched",),
        f"of {', '.join(RECIPES)} (default: matched)",
    ),
    Option(
        "--stages",
        comma_list(one_of(*ALL_STAGES)),
        STAGES,
        f"of {', '.join(STAGES)} (default: these), {', '.join(DEPLOYMENT_STAGES)}",
    ),
    Option(
        "--precision",
        precisions,
        ("float32",),
        f"of {', '.join(PRECISIONS)}: what training, evaluation and inference compute in (default: float32)",
    ),
    Option(
        "--execution",
        comma_list(one_of(*EXECUTIONS)),
        ("default",),
        f"of {', '.join(EXECUTIONS)}: how they run (default: default, which is eager in torch, a graph in "
        "tensorflow)",
    ),
    Option(
        "--deploy",
        comma_list(one_of(*FORMATS)),
        (),
        f"of {', '.join(FORMATS)}: forms in which a trained model is used (default: all)",
    ),
    Option(
        "--quantize",
        comma_list(one_of(*QUANTIZE)),
        QUANTIZE,
        f"of {', '.join(QUANTIZE)}: how its weights become int8 (default: all)",
    ),
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
    Option("--processes", integer(1), 1, "fresh processes for each case; verdicts need 3 (default: 1)"),
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
class Settings:
    """What the options of a session come to."""

    values: Mapping[str, Any]
    preset: Preset

    @classmethod
    def resolve(cls, given: Callable[[str], Any]) -> Settings:
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
        if isinstance(values["precision"], float):
            values |= {"within": values["precision"], "precision": ("float32",)}
        names = [environment.name for environment in values["env"]]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise OptionError(f"--env names {' and '.join(sorted(repeated))} more than once")
        if values["max_time"] and not values["within"]:
            raise OptionError("--max-time limits --within, which is not given")
        settings = cls(values, preset)
        if not settings.environments:
            return settings
        for stage in settings.stages:
            if preset.rows or settings.cases(stage):
                continue
            known = {name: [form.name for form in FRAMEWORKS[name].export_formats] for name in INSTALLED}
            forms = "; ".join(f"{name}: {', '.join(forms)}" for name, forms in known.items())
            raise OptionError(f"no case of {stage} is left by these options; forms of deployment are {forms}")
        if not any(map(settings.cases, settings.stages)):
            raise OptionError(
                f"--preset {name} has no such case; its tables have, though not in every combination, "
                f"{preset.axes}"
            )
        return settings

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in ALL_STAGES if stage in self.values["stages"])

    @property
    def schedule(self) -> Schedule:
        given = {field.name: self.values[field.name] for field in fields(Schedule)}
        return Schedule(**{name: value for name, value in given.items() if value is not None})

    @property
    def environments(self) -> dict[str, Environment]:
        """By name: the running interpreter for each framework, then those that were added."""
        here = [Environment(name, name) for name in self.values["frameworks"] if name != NONE]
        return {environment.name: environment for environment in (*here, *self.values["env"])}

    def cases(self, stage: Stage) -> list[Case]:
        """Return the cases of a stage, rivals next to each other."""
        names = {name: environment.framework for name, environment in self.environments.items()}
        axes = [field.name for field in fields(Matrix) if field.name != "environments"]
        matrix = Matrix(names, **{axis: self.values[axis] for axis in axes})
        return self.preset.keep(matrix.cases(stage))

    @property
    def dataset_request(self) -> DatasetRequest:
        names = ("train_images", "test_images", "classes", "image_size", "seed", "skip_bad_images")
        return DatasetRequest(self.values["dataset"], **{name: self.values[name] for name in names})

    def workload(self, manifest: Manifest) -> Workload:
        """Return the workload on a data set, whose number of classes decides the width of the model."""
        names = ("input_size", "epochs", "learning_rate", "seed")
        return Workload(len(manifest.classes), **{name: self.values[name] for name in names})
