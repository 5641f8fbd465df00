"""The tests of a session: one for each case of each stage, in the order of the pipeline."""

from __future__ import annotations

from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import pytest

from stagebench.case import Case
from stagebench.frameworks import FRAMEWORKS
from stagebench.frameworks.combinations import refusal
from stagebench.machine.info import gpu_names
from stagebench.plugin.replay import recorded_seconds
from stagebench.plugin.session_options import SETTINGS
from stagebench.run.environments import Environment

PARAMETERS = [field.name for field in fields(Case)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: what a framework passes before a time of it means anything.")
    config.addinivalue_line("markers", "long: of the gate, what is too long to wait for before each time.")
    config.addinivalue_line("markers", "stage(name): the test measures this stage, once for each case.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the correctness tests out where times are taken; who names them gets them all the same."""
    correctness = config.rootpath / "benchmarks" / "correctness"
    return True if collection_path == correctness and not config.getoption("benchmark_skip") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a stage's test one set of parameters for each case."""
    marker = metafunc.definition.get_closest_marker("stage")
    if marker is None:
        return
    settings = metafunc.config.stash[SETTINGS]
    (stage,) = marker.args
    metafunc.fixturenames += PARAMETERS  # parameters of their own, for `--benchmark-group-by=param:framework`
    metafunc.parametrize(
        PARAMETERS,
        [
            pytest.param(
                *(getattr(case, name) for name in PARAMETERS),
                id=case.id,
                marks=[
                    pytest.mark.benchmark(group=case.group(stage), timer=recorded_seconds),
                    *_skip(case, settings.environments[case.environment], settings.values["input_size"]),
                ],
            )
            for case in settings.cases(stage)
        ],
    )


def _skip(case: Case, environment: Environment, input_size: int) -> list[pytest.MarkDecorator]:
    reason = refusal(case, input_size) or environment.lacks(case)
    if case.device == "cuda" and not gpu_names():
        reason = "no NVIDIA GPU here: nvidia-smi lists none"
    return [pytest.mark.skip(reason=reason)] if reason else []


@pytest.hookimpl(trylast=True)  # after -k and -m, so that only what is left counts
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each case once, in the order of the pipeline; a session that takes times does nothing else.

    Cases come in the order of the options, however other plugins have shuffled and repeated them.
    """
    settings = config.stash[SETTINGS]
    found = {(stage_of(item), case_of(item)): item for item in reversed(items) if is_measured(item)}
    wanted = [(stage, case) for stage in settings.stages for case in settings.cases(stage)]
    chosen = [found[one] for one in wanted if one in found]
    if not chosen or config.getoption("benchmark_skip"):
        chosen = [item for item in items if not is_measured(item)] + chosen
    else:
        _refuse_empty_stages(chosen, settings.values["input_size"])
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def _refuse_empty_stages(items: list[pytest.Item], input_size: int) -> None:
    """Refuse a session with a stage of which every case is impossible, on whatever machine."""
    for stage, of_stage in groupby(items, stage_of):
        cases = [case_of(item) for item in of_stage]
        told = [refusal(case, input_size) or FRAMEWORKS[case.framework].has_no(case) for case in cases]
        if all(told):
            raise pytest.UsageError(
                f"no case of {stage} is left: {'; '.join(filter(None, dict.fromkeys(told)))}"
            )


def is_measured(item: pytest.Item) -> bool:
    """Say whether a test is that of a stage, which has a case."""
    return item.get_closest_marker("stage") is not None


def stage_of(item: pytest.Item) -> str:
    """Return the stage that a test measures."""
    (stage,) = next(item.iter_markers("stage")).args
    return cast(str, stage)


def case_of(item: pytest.Item) -> Case:
    """Return the case for which a test measures its stage."""
    parameters: dict[str, Any] = cast(pytest.Function, item).callspec.params
    return Case(**{name: parameters[name] for name in PARAMETERS})
