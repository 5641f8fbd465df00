"""Which settings go together, in every framework."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from stagebench.case import AXES, Case
from stagebench.frameworks.contract import UnavailableError


def check(case: Case, build: Callable[..., object]) -> None:
    """Raise `UnavailableError` where a case's settings do not go together, or not with its network.

    `build` is the network's builder. That of a stack of layers takes `assemble`, which makes a model of them.
    """
    asked = {
        axis.name: f"{axis.option}={value}"
        for axis in AXES.values()
        if axis.of_frameworks and axis.named(value := getattr(case, axis.name))
    }
    if asked and case.recipe == "published":
        raise UnavailableError(f"published code stays as it is: not with {' and '.join(asked.values())}")
    if case.precision == "float16" and (case.accumulate > 1 or case.schedule == "one_cycle_step"):
        raise UnavailableError(
            "float16 leaves out gradients that overflow, which the frameworks count differently: not with "
            "--accumulate and --schedule=one_cycle_step"
        )
    if case.precision == "float16" and case.device == "cpu":
        raise UnavailableError("float16 is for GPUs: on CPUs it is emulated or missing; bfloat16 is not")
    if asked.keys() & {"api", "placement"} and "assemble" not in signature(build).parameters:
        raise UnavailableError(f"{case.network} is no stack of layers: its builder has one form")
    if case.placement == "single":
        return
    if "api" in asked:
        raise UnavailableError(f"--placement=split goes with --api=sequential alone, not with {asked['api']}")
    if case.precision != "float32":
        raise UnavailableError(f"--placement=split computes in float32: in {case.precision} devices differ")
    if case.execution == "compiled":
        raise UnavailableError("--placement=split is not compiled: a compiler makes a step for one device")
