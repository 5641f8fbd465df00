"""The options of `pytest benchmarks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        return {**arguments, "action": action, "type": self.parse, "metavar": "VALUE"}


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
    told = f"of {', '.join(allowed)}: {axis.help}" if allowed else axis.help
    others: dict[str, Any] = {
        "device": lambda: ("cpu", "cuda") if gpu_names() else ("cpu",),
        "deploy": (),  # every export format that a framework has
    }
    return Option(axis.option, comma_list(parse), others.get(axis.name, axis.defaults), told)


OPTIONS = (
    Option(
        "--frameworks",
        comma_list(one_of(*FRAMEWORKS, NONE)),
        lambda: tuple(INSTALLED),
        f"of {', '.join(FRAMEWORKS)}; {NONE}: only those of --env",
        "every real one installed",
    ),
    Option(
        "--stages",
        comma_list(one_of(*STAGES)),
        PIPELINE,
        f"of {', '.join(PIPELINE)}, {', '.join(DEPLOYMENT)}",
        f"all but {', '.join(DEPLOYMENT)}",
    ),
    *map(_axis_option, AXES.values()),
    Option(
        "--dataset",
        str,
        "synthetic",
        "synthetic, cifar100:ARCHIVE, or a folder train/<class>/*.jpg, test/<class>/*.jpg",
    ),
    Option(
        "--skip-bad-images",
        None,
        DatasetRequest.skip_bad_images,
        "leave out images of a folder that cannot be used",
    ),
    Option(
        "--train-images", integer(1), DatasetRequest.train_images, "training images of the synthetic data set"
    ),
    Option("--test-images", integer(1), DatasetRequest.test_images, "test images of the synthetic data set"),
    Option("--classes", integer(2), DatasetRequest.classes, "classes of the synthetic data set"),
    Option(
        "--image-size", integer(8), DatasetRequest.image_size, "height and width of a stored image, in pixels"
    ),
    Option(
        "--input-size", integer(16), Workload.input_size, "height and width of the model's input, in pixels"
    ),
    Option("--epochs", integer(1), Workload.epochs, "epochs in a training round"),
    Option("--seed", integer(0, 2**32 - 1), Workload.seed, "where all random numbers come from"),
    Option("--learning-rate", positive_number, Workload.learning_rate, "Adam's learning rate"),
    Option(
        "--rounds",
        integer(1),
        Schedule.rounds,
        "timed rounds in each process",
        f"{Stage.minimum_rounds}, and more of a short stage, until they take {ROUND_SECONDS:g} s",
    ),
    Option(
        "--processes",
        integer(1),
        Schedule.processes,
        "processes for each case, without a budget",
        f"{Schedule.processes} and more; with --noise {NOISE_PROCESSES}",
    ),
    Option(
        "--budget",
        positive_number,
        Schedule.budget,
        "seconds for all: what is left after --processes goes to further ones of inconclusive groups",
        f"{PRESETS[QUICK].values['budget']} with the preset {QUICK}, else none",
    ),
    Option(
        "--within",
        percentage,
        Schedule.within,
        "e.g. 2%: start more processes until the interval of each ratio is within +- this",
    ),
    Option("--max-time", positive_number, Schedule.max_time, "seconds for --within, in each group"),
    Option(
        "--interleave",
        one_of(*INTERLEAVE),
        Schedule.interleave,
        "how rivals take turns: in time slices of a round where that is possible, or by whole rounds",
    ),
    Option(
        "--stage-timeout",
        positive_number,
        Schedule.stage_timeout,
        "seconds after which a stage that hangs is ended",
    ),
    Option("--threads", threads, Schedule.threads, "threads and processors of each worker process"),
    Option(
        "--profile", folder_to_write, None, "folder for a profiler's trace of each case, made off the clock"
    ),
    Option(
        "--smallest",
        smallest_difference,
        SMALLEST_DIFFERENCE,
        "the smallest difference that counts as one: FASTER or SLOWER from it on, SAME within it",
        f"{SMALLEST_DIFFERENCE:.0%}",
    ),
    Option(
        "--noise", None, False, "measure each case against itself too: one more source of what noise is known"
    ),
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
    QUICK,
    "what stands in for the defaults: "
    + "; ".join(f"{name}: {preset.help}" for name, preset in PRESETS.items()),
)
"""An option that is given wins over its preset."""
