"""Makes a pytest-benchmark suite of the stages: options, the matrix of cases, data set, progress, summary."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from dataclasses import fields
from pathlib import Path
from shutil import get_terminal_size

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from stagebench.case import Case, Stage, Workload
from stagebench.dataset import DatasetError, Manifest, default_cache_folder, prepare
from stagebench.environments import Environment
from stagebench.measurement.errors import StorageError
from stagebench.measurement.journal import Journal
from stagebench.measurement.machine import gpu_names, machine_info
from stagebench.measurement.replay import recorded_seconds, replay
from stagebench.measurement.sample import Measurement
from stagebench.measurement.schedule import Conditions
from stagebench.options import OPTIONS, PRESET, OptionError, Settings
from stagebench.pipelines import FRAMEWORKS
from stagebench.reporting.extra_info import extra_info
from stagebench.reporting.progress import Progress, progress_of
from stagebench.reporting.terminal import Result, summary_lines
from stagebench.session import Session

pytest_plugins = ["pytester"]

AXES = [field.name for field in fields(Case)]
SETTINGS = pytest.StashKey[Settings]()
RESULTS = pytest.StashKey[list[Result]]()
SESSION = pytest.StashKey[Session]()
JOURNAL = pytest.StashKey[Journal]()
JOURNAL_FOLDER = Path(".benchmarks", "journal")


# --- the session: options, and the matrix that they span


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stagebench")
    for option in (*OPTIONS, PRESET):
        group.addoption(option.flag, **option.arguments)
    group.addoption(
        "--resume", action="store_true", help="take the finished groups of the run that was interrupted last"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stage(name): the test measures this stage, once for each case.")
    # A failed check leaves its benchmark without a round on purpose; the failure itself is the message.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")
    # Under --benchmark-skip there is nothing to save.
    warnings.filterwarnings("ignore", "Not saving anything")
    try:
        config.stash[SETTINGS] = Settings.resolve(config.getoption)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RESULTS] = []
    if all(environment.missing() for environment in config.stash[SETTINGS].environments.values()):
        commands = " or ".join(f.install for f in FRAMEWORKS.values() if f.install)
        raise pytest.UsageError(f"no framework is installed here; try: {commands}")


def pytest_report_header(config: pytest.Config) -> list[str]:
    versions = [
        " ".join([name, *environment.versions().values()][:2])
        for name, environment in config.stash[SETTINGS].environments.items()
        if not environment.missing()
    ]
    missing = [f.missing() for f in FRAMEWORKS.values() if f.missing()]
    return [f"stagebench: {', '.join(versions) or 'no framework'}", *(f"  {reason}" for reason in missing)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a stage's test one set of parameters for each case."""
    marker = metafunc.definition.get_closest_marker("stage")
    if marker is None:
        return
    settings = metafunc.config.stash[SETTINGS]
    (stage,) = marker.args
    metafunc.parametrize(
        AXES,
        [
            pytest.param(
                *(getattr(case, axis) for axis in AXES),
                id=case.id,
                marks=[
                    pytest.mark.benchmark(group=case.group(stage), timer=recorded_seconds),
                    *_skip(case, settings.environments[case.environment]),
                ],
            )
            for case in settings.cases
        ],
    )


def _skip(case: Case, environment: Environment) -> list[pytest.MarkDecorator]:
    reason = environment.missing(case.recipe)
    if case.device == "cuda" and not gpu_names():
        reason = "no NVIDIA GPU here: nvidia-smi lists none"
    return [pytest.mark.skip(reason=reason)] if reason else []


@pytest.hookimpl(trylast=True)  # after -k and -m, so that only what is left counts
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the stages in the order of the pipeline; a session that takes times does nothing else."""
    stages = config.stash[SETTINGS].stages
    chosen = [item for stage in stages for item in items if _is_measured(item) and _stage_of(item) == stage]
    if not chosen or config.getoption("benchmark_skip"):
        chosen = [item for item in items if not _is_measured(item)] + chosen
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def _stage_of(item: pytest.Item) -> Stage:
    marker = item.get_closest_marker("stage")
    assert marker is not None
    stage: Stage = marker.args[0]
    return stage


def _case_of(item: pytest.Item) -> Case:
    assert isinstance(item, pytest.Function)
    return Case(**{axis: item.callspec.params[axis] for axis in AXES})


def _is_measured(item: pytest.Item) -> bool:
    return item.get_closest_marker("stage") is not None


# --- what a stage's test uses


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Progress:
    return progress_of(pytestconfig)


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config, progress: Progress) -> Manifest:
    """The data set of the session, prepared before anything is timed."""
    request = pytestconfig.stash[SETTINGS].dataset_request
    try:
        return prepare(request, default_cache_folder(), progress.count)
    except DatasetError as error:
        pytest.exit(f"data set: {error}", returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def workload(pytestconfig: pytest.Config, manifest: Manifest) -> Workload:
    return pytestconfig.stash[SETTINGS].workload(manifest)


@pytest.fixture(scope="session")
def journal(pytestconfig: pytest.Config, progress: Progress) -> Journal:
    """What is finished; under `--resume`, what an interrupted session has finished too."""
    resume = pytestconfig.getoption("resume")
    pytestconfig.stash[JOURNAL] = journal = Journal(JOURNAL_FOLDER, resume)
    if resume:
        progress.finish(f"--resume: {journal.groups or 'no'} finished groups in {JOURNAL_FOLDER}")
    return journal


@pytest.fixture(scope="session")
def measuring(
    request: pytest.FixtureRequest,
    manifest: Manifest,
    workload: Workload,
    journal: Journal,
    progress: Progress,
) -> Session:
    """Measure the groups of all selected tests."""
    config = request.config
    settings = config.stash[SETTINGS]
    selected = [i for i in request.session.items if _is_measured(i) and not i.get_closest_marker("skip")]
    config.stash[SESSION] = Session(
        [(_stage_of(item), _case_of(item)) for item in selected],
        Conditions(workload, manifest, settings.environments, settings.schedule),
        default_cache_folder(),
        journal,
        progress,
        against_itself=settings.values["noise"],
        estimated=settings.preset.estimated,
    )
    return config.stash[SESSION]


@pytest.fixture
def case(
    framework: str,
    device: str,
    batch_size: int,
    workers: int | str,
    cache: str,
    augment: str,
    recipe: str,
    environment: str,
) -> Case:
    """The test's case. Its axes are parameters of their own, for `--benchmark-group-by=param:framework`."""
    return Case(framework, device, batch_size, workers, cache, augment, recipe, environment)  # type: ignore[arg-type]


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    return _stage_of(request.node)


@pytest.fixture
def measure(
    stage: Stage, case: Case, measuring: Session, benchmark: BenchmarkFixture
) -> Callable[[], Measurement]:
    """Return the measurement of the test's stage and case; fails or skips the test if there is none."""

    def measure_case() -> Measurement:
        try:
            result = measuring.measured(stage, case, timed=benchmark.enabled)
        except StorageError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
        if isinstance(result, Measurement):
            return result
        if result.unavailable:
            pytest.skip(result.reason)
        pytest.fail(result.reason, pytrace=False)

    return measure_case


@pytest.fixture
def record(
    pytestconfig: pytest.Config,
    benchmark: BenchmarkFixture,
    stage: Stage,
    case: Case,
    workload: Workload,
    manifest: Manifest,
) -> Callable[[Measurement], None]:
    """Hand a measurement whose checks have passed to pytest-benchmark and to the summary."""

    def record_measurement(measurement: Measurement) -> None:
        info = extra_info(stage, case, measurement, workload, manifest.fingerprint)
        benchmark.extra_info.update(info)
        replay(benchmark, [sample.seconds for sample in measurement.rounds])
        if measurement.rounds:
            pytestconfig.stash[RESULTS].append(Result(stage, case, measurement, info["limit_seconds"]))

    return record_measurement


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take a group whose check has failed back from the journal: `--resume` is to measure it again."""
    report = yield
    journal = item.config.stash.get(JOURNAL, None)
    if journal and report.when == "call" and report.failed and _is_measured(item):
        journal.forget(_case_of(item).group(_stage_of(item)))
    return report


# --- what pytest-benchmark saves and pytest prints


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, object]:
    return machine_info()


@pytest.hookimpl(wrapper=True)  # after pytest-benchmark's tables, and also when it reports a regression
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    try:
        yield
    finally:
        _summarise(terminalreporter, config)


def _summarise(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if results and config.get_verbosity() >= 0:
        terminalreporter.section("stagebench", sep="-")
        floor = config.stash[SESSION].noise_floor
        for line in summary_lines(results, floor, get_terminal_size().columns):
            terminalreporter.write_line(line)
    journal = config.stash.get(JOURNAL, None)
    if journal and journal.path.exists():
        terminalreporter.write_line(f"stagebench: --resume takes what is finished from {journal.path}")


@pytest.hookimpl(trylast=True)  # after pytest-benchmark has saved
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    journal = session.config.stash.get(JOURNAL, None)
    if journal:
        journal.end(well=exitstatus == pytest.ExitCode.OK)
