"""The options of `pytest benchmarks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from stagebench.case import AXES, Axis, Workload
from stagebench.datasets.request import DatasetRequest
from stagebench.frameworks import FRAMEWORKS, INSTALLED, values_of
from stagebench.machine.info import gpu_names
from stagebench.plugin.option_values import (
    Parser,
    comma_list,
    folder_to_write,
    integer,
    one_of,
    percentage,
    positive_number,
    smallest_difference,
    threads,
)
from stagebench.plugin.presets import PRESETS, QUICK
from stagebench.run.conditions import INTERLEAVE, Schedule
from stagebench.run.environments import Environment
from stagebench.run.schedule import ROUND_SECONDS
from stagebench.stages import DEPLOYMENT, PIPELINE, STAGES
from stagebench.stages.stage import Stage
from stagebench.statistics.verdict import SMALLEST_DIFFERENCE

NONE = "none"
"""Of the frameworks of the running interpreter."""
NOISE_PROCESSES = 5
"""Fresh processes of each case and its A/A copy, where nothing else is said."""


@dataclass(frozen=True)
class Option:
    """One option of `pytest benchmarks`."""

    flag: str
    parse: Parser | None
    """What takes its value; None for a switch."""
    default: Any
    """A function where it is a matter of the machine."""
    help: str
    """Without the default, which is added to it."""
    default_in_words: str = ""
    """Where the value alone does not tell it."""
    repeatable: bool = False

    @property
    def name(self) -> str:
        return option_name(self.flag)

    @property
    def arguments(self) -> dict[str, Any]:
        """What `argparse` is told of it. A value that was not given is None, so that a preset can fill it."""
        default = self.default_in_words or _as_given(self.default)
        told = f"{self.help} (default: {default})" if default else self.help
        arguments = {"default": None, "help": told.replace("%", "%%")}
        if self.parse is None:
            return {**arguments, "action": "store_const", "const": True}
        action = "append" if self.repeatable else "store"
        return {**arguments, "action": action, "type": self.parse, "metavar": "X"}


def _as_given(value: Any) -> str:
    """Write a value as an option takes it; one that there is no need to tell is empty."""
    if value is None or value is False or callable(value):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(_as_given, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def option_name(flag: str) -> str:
    """Return the name by which pytest knows an option."""
    return flag.removeprefix("--").replace("-", "_")


def _axis_option(axis: Axis) -> Option:
    """Return the option that takes an axis's values."""
    allowed = values_of(axis)
    parse = one_of(*allowed) if allowed else integer(axis.least)
    told = ": ".join(part for part in (axis.help, ", ".join(axis.values or ())) if part)
    others: dict[str, tuple[Any, str]] = {
        "device": (lambda: ("cpu", "cuda") if gpu_names() else ("cpu",), "all"),
        "deploy": ((), "all"),  # every export format that a framework has
    }
    default, in_words = others.get(axis.name, (axis.defaults, ""))
    return Option(axis.option, comma_list(parse), default, told, in_words)


WHAT, HOW_LONG, WHERE, OUTCOME = (
    "what is measured",
    "how long, and how sure",
    "where it runs",
    "what comes out",
)
GROUPS: dict[str, tuple[Option, ...]] = {
    WHAT: (
        Option(
            "--frameworks",
            comma_list(one_of(*FRAMEWORKS, NONE)),
            lambda: tuple(INSTALLED),
            f"{', '.join(FRAMEWORKS)}; {NONE}: those of --env",
            "the installed",
        ),
        Option(
            "--stages",
            comma_list(one_of(*STAGES)),
            PIPELINE,
            "as in test_STAGE.py",
            f"all but {', '.join(DEPLOYMENT)}",
        ),
        *map(_axis_option, AXES.values()),
        Option("--dataset", str, "synthetic", "synthetic, cifar10: or cifar100:ARCHIVE, a folder"),
        Option(
            "--skip-bad-images",
            None,
            DatasetRequest.skip_bad_images,
            "leave out images of a folder that cannot be used",
        ),
        Option("--train-images", integer(1), DatasetRequest.train_images, "of the synthetic data set"),
        Option("--test-images", integer(1), DatasetRequest.test_images, "of the synthetic data set"),
        Option("--classes", integer(2), DatasetRequest.classes, "of the synthetic data set"),
        Option("--image-size", integer(8), DatasetRequest.image_size, "pixels a side of a stored image"),
        Option("--input-size", integer(16), Workload.input_size, "pixels a side of the model's input"),
        Option("--epochs", integer(1), Workload.epochs, "epochs in a training round"),
        Option("--learning-rate", positive_number, Workload.learning_rate, "learning rate of Adam"),
        Option("--seed", integer(0, 2**32 - 1), Workload.seed, "of all that is random"),
    ),
    "how long, and how sure": (
        Option(
            "--budget",
            positive_number,
            Schedule.budget,
            "seconds in all, spent on inconclusive groups",
            f"{PRESETS[QUICK].values['budget']}, if {QUICK}",
        ),
        Option(
            "--processes",
            integer(1),
            Schedule.processes,
            "processes that measure each case",
            f"{Schedule.processes} and more; with --noise {NOISE_PROCESSES}",
        ),
        Option(
            "--rounds",
            integer(1),
            Schedule.rounds,
            "timed rounds in each process",
            f"{Stage.minimum_rounds} or more, for {ROUND_SECONDS:g} s",
        ),
        Option(
            "--within", percentage, Schedule.within, "e.g. 2%: more processes until intervals are within +-2%"
        ),
        Option("--max-time", positive_number, Schedule.max_time, "seconds for --within, in each group"),
        Option(
            "--smallest",
            smallest_difference,
            SMALLEST_DIFFERENCE,
            "the smallest difference that counts as one",
            f"{SMALLEST_DIFFERENCE:.0%}",
        ),
        Option("--noise", None, False, "measure each case against itself, too"),
        Option(
            "--interleave",
            one_of(*INTERLEAVE),
            Schedule.interleave,
            "how cases take turns: slices of a round, or whole rounds",
        ),
    ),
    "where it runs": (
        Option(
            "--env",
            Environment.parse,
            (),
            "NAME=PYTHON: another interpreter, e.g. torch@2.14.1=PATH; repeatable",
            repeatable=True,
        ),
        Option("--threads", threads, Schedule.threads, "threads and processors of each worker process"),
        Option(
            "--stage-timeout",
            positive_number,
            Schedule.stage_timeout,
            "seconds after which a stage that hangs is ended",
        ),
    ),
    OUTCOME: (Option("--profile", folder_to_write, None, "folder for a profiler's trace of each case"),),
}
"""By what they are about, in the order of `--help`."""
OPTIONS = tuple(option for group in GROUPS.values() for option in group)
PRESET = Option("--preset", one_of(*PRESETS), QUICK, f"what stands in for the defaults: {', '.join(PRESETS)}")
"""An option that is given wins over its preset."""


def add_option(parser: pytest.Parser, about: str, flag: str, **arguments: Any) -> None:
    """Add an option to the group of `--help` in which those about something stand.

    Raises:
        UsageError: another plugin has an option of this name.

    """
    there = (option for group in (parser._anonymous, *parser._groups) for option in group.options)
    if any(flag in option.names() for option in there):
        told = "another plugin has an option of that name, too; turn the plugin off: -p no:NAME"
        raise pytest.UsageError(f"{flag} is an option of stagebench; {told}")
    parser.getgroup(f"stagebench {about}", f"stagebench, {about}").addoption(flag, **arguments)
