"""The options of `pytest benchmarks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stagebench.case import AXES, Axis
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
    threads,
)
from stagebench.plugin.presets import PRESETS
from stagebench.run.environments import Environment
from stagebench.run.schedule import ROUND_SECONDS
from stagebench.stages import DEPLOYMENT, PIPELINE, STAGES

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
    help: str
    repeatable: bool = False

    @property
    def name(self) -> str:
        return option_name(self.flag)

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


def option_name(flag: str) -> str:
    """Return the name by which pytest knows an option."""
    return flag.removeprefix("--").replace("-", "_")


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
