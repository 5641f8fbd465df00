"""What a stage's test uses: it measures, validates, and records what has passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from stagebench.article.differences import measure_all_differences
from stagebench.case import Case, Workload
from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.manifest import Manifest
from stagebench.plugin.collection import case_of, is_measured, stage_of
from stagebench.plugin.deciding import Deciding
from stagebench.plugin.exit import exit_if_impossible
from stagebench.plugin.noise import NOISE, Noise
from stagebench.plugin.progress import Progress, progress_of
from stagebench.plugin.replay import replay
from stagebench.plugin.saved_run import RECORD
from stagebench.plugin.session_options import SETTINGS
from stagebench.plugin.whole_files import refuse_unwritable
from stagebench.results.measured import info_of
from stagebench.results.result import Result
from stagebench.run.conditions import Conditions
from stagebench.run.journal import Journal
from stagebench.run.sample import Measurement
from stagebench.run.session import Session
from stagebench.run.trained import trained_weights
from stagebench.stages import STAGES
from stagebench.stages.stage import Executions
from stagebench.statistics.ranking import width_of


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Progress:
    return progress_of(pytestconfig)


@pytest.fixture(scope="session")
def measuring(
    request: pytest.FixtureRequest,
    manifest: Manifest,
    workload: Workload,
    journal: Journal,
    progress: Progress,
) -> Iterator[Session]:
    """Measure the groups of all selected tests."""
    config = request.config
    settings = config.stash[SETTINGS]
    selected = [i for i in request.session.items if is_measured(i) and not i.get_closest_marker("skip")]
    conditions = Conditions(
        workload, manifest, settings.environments, settings.schedule, profiles=settings.values["profile"]
    )
    config.stash[NOISE] = noise = Noise(default_cache_folder(), conditions)
    cases = [(stage_of(item), case_of(item)) for item in selected]
    stages = {case.group(stage): stage for stage, case in cases}
    deciding = Deciding(noise, workload, manifest, settings.values["smallest"], stages)
    with exit_if_impossible():
        session = Session(
            cases,
            conditions,
            default_cache_folder(),
            journal,
            progress,
            width_of,
            deciding.needs,
            trained=partial(trained_weights, settings.environments, workload, settings.dataset_request),
            against_itself=settings.values["noise"],
            estimated=settings.preset.estimated,
        )
    benchmarks = config.pluginmanager.getplugin("pytest-benchmark")
    if not benchmarks.disabled:
        with exit_if_impossible():
            refuse_unwritable(benchmarks)
        published: dict[str, set[str]] = {}
        for case in map(case_of, selected):
            if case.recipe == "published":
                published.setdefault(case.framework, set()).add(case.network)
        config.stash[RECORD].differences += measure_all_differences(published, progress.finish)
    with session:
        yield session


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.node)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> str:
    return stage_of(request.node)


@pytest.fixture
def measure(
    pytestconfig: pytest.Config, stage: str, case: Case, measuring: Session, benchmark: BenchmarkFixture
) -> Callable[[], Measurement]:
    """Return the measurement of the test's stage and case; fails or skips the test if there is none."""

    def measure_case() -> Measurement:
        with exit_if_impossible():
            result = measuring.measured(stage, case, timed=benchmark.enabled)
            pytestconfig.stash[NOISE].add_equal(stage, case, result, measuring.aa_copy(stage, case))
        if isinstance(result, Measurement):
            return result
        if result.unavailable:
            pytest.skip(result.reason)
        pytest.fail(result.reason, pytrace=False)

    return measure_case


@pytest.fixture
def validate(stage: str, case: Case, workload: Workload, manifest: Manifest) -> Callable[[Measurement], None]:
    """Return a function that fails the test where what was executed is not what was to be computed."""

    def validate_measurement(measurement: Measurement) -> None:
        outcomes = [[sample.outcome for sample in process.executions] for process in measurement.processes]
        ran = Executions(outcomes, case.complete, workload, manifest)
        wrong = dict.fromkeys(STAGES[stage].validate(ran))
        if wrong:
            pytest.fail(f"fails validation, its timings are discarded: {'; '.join(wrong)}", pytrace=False)

    return validate_measurement


@pytest.fixture
def record(
    pytestconfig: pytest.Config,
    benchmark: BenchmarkFixture,
    stage: str,
    case: Case,
    workload: Workload,
    manifest: Manifest,
) -> Callable[[Measurement], None]:
    """Hand a measurement whose checks have passed to pytest-benchmark and to the summary."""

    def record_measurement(measurement: Measurement) -> None:
        replay(benchmark, [sample.seconds for sample in measurement.rounds])
        if measurement.rounds:
            info = info_of(stage, case, measurement, workload, manifest)
            result = Result(stage, case, measurement.seconds, info)
            pytestconfig.stash[RECORD].add(result, measurement.processes[0].pictures, benchmark.extra_info)

    return record_measurement
