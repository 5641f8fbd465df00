"""Which settings go together, and with which network, in every framework."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from stagebench.case import AXES, Case
from stagebench.frameworks.contract import UnavailableError
from stagebench.networks import NETWORKS


def check(case: Case, build: Callable[..., object]) -> None:
    """Raise `UnavailableError` where a case's settings do not go together, or not with its builder.

    `build` is the network's builder. That of a stack of layers takes `assemble`, which makes a model of them.
    `refusal` is not asked: the gate has smaller images than a session allows.
    """
    if told := _refused_by_settings(case):
        raise UnavailableError(told)
    if _asked(case).keys() & {"api", "placement"} and "assemble" not in signature(build).parameters:
        raise UnavailableError(f"{case.network} is no stack of layers: its builder has one form")


def refusal(case: Case, input_size: int) -> str | None:
    """Say why a case can be measured on no machine, or return None; `input_size` is in pixels."""
    return _refused_by_network(case, input_size) or _refused_by_settings(case)


def _refused_by_network(case: Case, input_size: int) -> str | None:
    network = NETWORKS[case.network]
    if case.recipe not in network.recipes:
        having = [name for name, other in NETWORKS.items() if case.recipe in other.recipes]
        return f"{network.name} has no recipe {case.recipe}; it is there for {', '.join(having)}"
    if case.deploy and not network.deployed_epochs:
        having = [name for name, other in NETWORKS.items() if other.deployed_epochs]
        return f"{network.name} was not tried in deployment yet; it is there for {', '.join(having)}"
    return network.refuses(input_size)


def _refused_by_settings(case: Case) -> str | None:
    asked = _asked(case)
    if asked and case.recipe == "published":
        return f"published code stays as it is: not with {' and '.join(asked.values())}"
    if case.precision == "float16" and (case.accumulate > 1 or case.schedule == "one_cycle_step"):
        return (
            "float16 leaves out gradients that overflow, which the frameworks count differently: not with "
            "--accumulate and --schedule=one_cycle_step"
        )
    if case.precision == "float16" and case.device == "cpu":
        return "float16 is for GPUs: on CPUs it is emulated or missing; bfloat16 is not"
    if case.placement == "single":
        return None
    if "api" in asked:
        return f"--placement=split goes with --api=sequential alone, not with {asked['api']}"
    if case.precision != "float32":
        return f"--placement=split computes in float32: in {case.precision} devices differ"
    if case.execution == "compiled":
        return "--placement=split is not compiled: a compiler makes a step for one device"
    return None


def _asked(case: Case) -> dict[str, str]:
    """Return the options of training that a case has off their defaults, by axis."""
    values = {axis.name: getattr(case, axis.name) for axis in AXES.values() if axis.of_frameworks}
    return {name: f"{AXES[name].option}={value}" for name, value in values.items() if AXES[name].named(value)}
