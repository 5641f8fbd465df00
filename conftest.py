"""Makes a pytest-benchmark suite of the stages: options, the matrix of cases, data set, progress, summary."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from stagebench.case import Case, Stage, Workload
from stagebench.dataset import DatasetError, Manifest, default_cache_folder, prepare
from stagebench.measurement.machine import gpu_names, machine_info
from stagebench.measurement.replay import recorded_seconds, replay
from stagebench.measurement.sample import Failure, Measurement
from stagebench.measurement.schedule import measure_group
from stagebench.options import OPTIONS, PRESET, Settings
from stagebench.pipelines import FRAMEWORKS
from stagebench.reporting.extra_info import extra_info
from stagebench.reporting.progress import Progress
from stagebench.reporting.terminal import Result, brief, summary_lines

pytest_plugins = ["pytester"]

AXES = [field.name for field in fields(Case)]
SETTINGS = pytest.StashKey[Settings]()
RESULTS = pytest.StashKey[list[Result]]()


# --- the session: options, and the matrix that they span


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stagebench")
    for option in (*OPTIONS, PRESET):
        group.addoption(option.flag, type=option.parse, default=None, metavar="VALUE", help=option.help)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stage(name): the test measures this stage, once for each case.")
    # A failed check leaves its benchmark without a round on purpose; the failure itself is the message.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")
    # Under --benchmark-skip there is nothing to save.
    warnings.filterwarnings("ignore", "Not saving anything")
    config.stash[SETTINGS] = Settings.resolve(config.getoption)
    config.stash[RESULTS] = []
    if all(FRAMEWORKS[name].missing() for name in config.stash[SETTINGS].matrix.frameworks):
        commands = " or ".join(f.install for f in FRAMEWORKS.values() if f.install)
        raise pytest.UsageError(f"no framework is installed here; try: {commands}")


def pytest_report_header(config: pytest.Config) -> list[str]:
    versions = [
        " ".join([name, *FRAMEWORKS[name].versions().values()][:2])
        for name in config.stash[SETTINGS].matrix.frameworks
        if not FRAMEWORKS[name].missing()
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
    cases = settings.matrix.cases(name for name, f in FRAMEWORKS.items() if f.chooses_workers)
    metafunc.parametrize(
        AXES,
        [
            pytest.param(
                *(getattr(case, axis) for axis in AXES),
                id=case.id,
                marks=[pytest.mark.benchmark(group=case.group(stage), timer=recorded_seconds), *_skip(case)],
            )
            for case in cases
        ],
    )


def _skip(case: Case) -> list[pytest.MarkDecorator]:
    reason = FRAMEWORKS[case.framework].missing()
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
    return Progress(pytestconfig)


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
def groups(
    request: pytest.FixtureRequest, manifest: Manifest, workload: Workload, progress: Progress
) -> Groups:
    return Groups(request.session, manifest, workload, progress)


@pytest.fixture
def case(
    framework: str, device: str, batch_size: int, workers: int | str, cache: str, augment: str, recipe: str
) -> Case:
    """The test's case. Its axes are parameters of their own, for `--benchmark-group-by=param:framework`."""
    return Case(framework, device, batch_size, workers, cache, augment, recipe)  # type: ignore[arg-type]


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    return _stage_of(request.node)


@pytest.fixture
def measure(
    stage: Stage, case: Case, groups: Groups, benchmark: BenchmarkFixture
) -> Callable[[], Measurement]:
    """Return the measurement of the test's stage and case; fails or skips the test if there is none."""

    def measure_case() -> Measurement:
        result = groups.measured(stage, case, timed=benchmark.enabled)
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
        benchmark.extra_info.update(extra_info(stage, case, measurement, workload, manifest.fingerprint))
        replay(benchmark, [sample.seconds for sample in measurement.rounds])
        if measurement.rounds:
            pytestconfig.stash[RESULTS].append(Result(stage, case, measurement))

    return record_measurement


class Groups:
    """Measures each group when the first of its tests asks for it, all its selected cases interleaved."""

    def __init__(
        self, session: pytest.Session, manifest: Manifest, workload: Workload, progress: Progress
    ) -> None:
        self._settings = session.config.stash[SETTINGS]
        self._manifest, self._workload, self._progress = manifest, workload, progress
        self._results: dict[str, dict[Case, Measurement | Failure]] = {}
        self._cases: dict[str, list[Case]] = {}
        for item in session.items:
            if _is_measured(item) and not item.get_closest_marker("skip"):
                case = _case_of(item)
                self._cases.setdefault(case.group(_stage_of(item)), []).append(case)

    def measured(self, stage: Stage, case: Case, timed: bool) -> Measurement | Failure:
        """Return the case's measurement at the stage; if it is not `timed`, its cold execution alone."""
        group = case.group(stage)
        if group not in self._results:
            self._results[group] = self._measure(group, stage, timed)
        return self._results[group][case]

    def _measure(self, group: str, stage: Stage, timed: bool) -> dict[Case, Measurement | Failure]:
        title = f"[{len(self._results) + 1}/{len(self._cases)}] {group}"
        results = measure_group(
            stage,
            self._cases[group],
            self._workload,
            self._manifest,
            rounds=self._settings.rounds if timed else 0,
            processes=self._settings.processes if timed else 1,
            report=lambda text: self._progress.draw(f"{title} - {text}"),
        )
        self._progress.finish(f"{title}; {'; '.join(brief(case, results[case]) for case in results)}")
        return results


# --- what pytest-benchmark saves and pytest prints


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, object]:
    return machine_info()


@pytest.hookimpl(trylast=True)  # after pytest-benchmark's tables
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if results and config.get_verbosity() >= 0:
        terminalreporter.section("stagebench", sep="-")
        for line in summary_lines(results):
            terminalreporter.write_line(line)
