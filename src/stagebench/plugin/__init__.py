"""Makes a pytest-benchmark suite of the stages: options, the matrix of cases, progress, summary.

It has no assertion that pytest should rewrite: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from stagebench.article.differences import measure_all_differences
from stagebench.case import Case, Workload
from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS
from stagebench.machine.errors import ShortageError, StorageError
from stagebench.machine.info import gpu_names, machine_info
from stagebench.plugin.aa_comparisons import NoiseFloors
from stagebench.plugin.baseline import baseline
from stagebench.plugin.options import OPTIONS, PRESET, OptionError, SessionOptions, file_to_write
from stagebench.plugin.progress import Progress, progress_of
from stagebench.plugin.replay import recorded_seconds, replay
from stagebench.plugin.saving import save_whole_files
from stagebench.report.report import Report
from stagebench.report.terminal import summary_lines
from stagebench.results.file import SECTION, extra_info_of, section_of
from stagebench.results.measured import info_of
from stagebench.results.record import Record
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured
from stagebench.run.environments import Environment
from stagebench.run.journal import Journal
from stagebench.run.sample import Measurement
from stagebench.run.schedule import Conditions
from stagebench.run.session import Session
from stagebench.run.trained import trained_weights
from stagebench.stages import STAGES
from stagebench.stages.stage import Executions
from stagebench.statistics.ranking import width_of

PARAMETERS = [field.name for field in fields(Case)]
SETTINGS = pytest.StashKey[SessionOptions]()
RECORD = pytest.StashKey[Record]()
SESSION = pytest.StashKey[Session]()
NOISE = pytest.StashKey[NoiseFloors]()
JOURNAL = pytest.StashKey[Journal]()
COMPLETE = pytest.StashKey[bool]()
JOURNAL_FOLDER = Path(".benchmarks", "journal")


# --- the session: options, and the matrix that they span


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stagebench")
    for option in (*OPTIONS, PRESET):
        group.addoption(option.flag, **option.arguments)
    group.addoption(
        "--report", type=file_to_write, metavar="PATH", help="write a report: an HTML page, or a *.md file"
    )
    group.addoption(
        "--resume", action="store_true", help="take the finished groups of the run that was interrupted last"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: what a framework passes before a time of it means anything.")
    config.addinivalue_line("markers", "long: of the gate, what is too long to wait for before each time.")
    config.addinivalue_line("markers", "stage(name): the test measures this stage, once for each case.")
    # A failed check leaves its benchmark without a round on purpose; the failure itself is the message.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")
    # Under --benchmark-skip there is nothing to save.
    warnings.filterwarnings("ignore", "Not saving anything")
    save_whole_files()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is finished is saved, as by Ctrl-C
    try:
        config.stash[SETTINGS] = SessionOptions.resolve(config.getoption)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None
    if wanted := config.getoption("benchmark_compare"):
        storage = config.getoption("benchmark_storage").removeprefix("file://")
        config.option.benchmark_compare = baseline(wanted, Path(storage))
    config.stash[RECORD] = Record(config.invocation_params.args, config.getoption("preset") or PRESET.default)
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
                    *_skip(case, settings.environments[case.environment]),
                ],
            )
            for case in settings.cases(stage)
        ],
    )


def _skip(case: Case, environment: Environment) -> list[pytest.MarkDecorator]:
    reason = environment.lacks(case)
    if case.precision == "float16" and case.device == "cpu":
        reason = "float16 is for GPUs: on a CPU it is emulated, at a tenth of the speed; bfloat16 is not"
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


def _stage_of(item: pytest.Item) -> str:
    (stage,) = next(item.iter_markers("stage")).args
    return cast(str, stage)


def _case_of(item: pytest.Item) -> Case:
    parameters: dict[str, Any] = cast(pytest.Function, item).callspec.params
    return Case(**{name: parameters[name] for name in PARAMETERS})


def _is_measured(item: pytest.Item) -> bool:
    return item.get_closest_marker("stage") is not None


# --- what a stage's test uses


@contextmanager
def possible() -> Iterator[None]:
    """End the session in one sentence where data set, memory or disk do not allow it."""
    try:
        yield
    except DatasetError as error:
        pytest.exit(f"data set: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    except ShortageError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    except StorageError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Progress:
    return progress_of(pytestconfig)


@pytest.fixture(scope="session")
def journal(pytestconfig: pytest.Config, progress: Progress) -> Journal:
    """What is finished; under `--resume`, what an interrupted session has finished too."""
    resume = pytestconfig.getoption("resume")
    with possible():
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
    conditions = Conditions(
        workload, manifest, settings.environments, settings.schedule, profiles=settings.values["profile"]
    )
    config.stash[NOISE] = NoiseFloors(default_cache_folder(), conditions)
    with possible():
        config.stash[SESSION] = Session(
            [(_stage_of(item), _case_of(item)) for item in selected],
            conditions,
            default_cache_folder(),
            journal,
            progress,
            width_of,
            trained=partial(trained_weights, settings.environments, workload, settings.dataset_request),
            against_itself=settings.values["noise"],
            estimated=settings.preset.estimated,
        )
    if not config.getoption("benchmark_disable"):
        recipes = {(case.framework, case.recipe) for case in map(_case_of, selected)}
        frameworks = sorted(framework for framework, recipe in recipes if recipe == "published")
        config.stash[RECORD].differences += measure_all_differences(frameworks, progress.finish)
    return config.stash[SESSION]


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    return _case_of(request.node)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> str:
    return _stage_of(request.node)


@pytest.fixture
def measure(
    pytestconfig: pytest.Config, stage: str, case: Case, measuring: Session, benchmark: BenchmarkFixture
) -> Callable[[], Measurement]:
    """Return the measurement of the test's stage and case; fails or skips the test if there is none."""

    def measure_case() -> Measurement:
        with possible():
            result = measuring.measured(stage, case, timed=benchmark.enabled)
            pytestconfig.stash[NOISE].keep(stage, case, result, measuring.aa_copy(stage, case))
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record a case that failed or was skipped; `--resume` is to measure the group of a failed one again."""
    report = yield
    if not report.passed and _is_measured(item) and call.excinfo:
        case, stage = _case_of(item), _stage_of(item)
        reason = str(call.excinfo.value).partition("\nassert ")[0] or call.excinfo.typename
        item.config.stash[RECORD].not_measured.append(NotMeasured(stage, case, report.outcome, reason))
        journal = item.config.stash.get(JOURNAL, None)
        if journal and report.failed:
            journal.forget(case.group(stage))
    return report


# --- what pytest-benchmark saves and pytest prints


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, object]:
    return machine_info()


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, object]) -> None:
    _complete(config)
    output_json[SECTION] = section_of(config.stash[RECORD].run())


def _complete(config: pytest.Config) -> None:
    """Add what is known only when all is measured: the noise of cases like each other."""
    record = config.stash[RECORD]
    for result, saved in zip(record.results, record.saved, strict=True):
        config.stash[NOISE].complete(result)
        saved.update(extra_info_of(result))


@pytest.hookimpl(wrapper=True)  # after pytest-benchmark's tables, and also when it reports a regression
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    try:
        yield
    finally:
        _summarise(terminalreporter, config)
        _report(terminalreporter, config)


def _summarise(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[RECORD].results
    if results and config.get_verbosity() >= 0:
        terminalreporter.section("stagebench", sep="-")
        floors = config.stash[NOISE].lines(results) if config.getoption("noise") else ()
        for line in (*summary_lines(results, get_terminal_size().columns), *floors):
            terminalreporter.write_line(line)
    journal = config.stash.get(JOURNAL, None)
    if journal and journal.path.exists():
        terminalreporter.write_line(f"stagebench: --resume takes what is finished from {journal.path}")


def _report(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the report that was asked for, and what GitHub shows beside a job."""
    path, record = config.getoption("report"), config.stash[RECORD]
    if not (path or "GITHUB_STEP_SUMMARY" in os.environ) or not (record.results or record.not_measured):
        return
    from stagebench.report.markdown import markdown
    from stagebench.report.output import append_to_step_summary, format_of, write_report  # 0.2 s

    report = Report([record.run()])
    with possible():
        if path:
            write_report(report, path, format_of(path))
            terminalreporter.write_line(f"stagebench: report in {path}")
        if "GITHUB_STEP_SUMMARY" in os.environ:
            append_to_step_summary(markdown(report))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    session.config.stash[COMPLETE] = True
    return result


@pytest.hookimpl(trylast=True)  # after pytest-benchmark has saved; if it could not, the journal stays
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    _complete(session.config)
    journal = session.config.stash.get(JOURNAL, None)
    if journal:
        # A second Ctrl-C comes before pytest has set the status that the first one means.
        journal.end(well=exitstatus == pytest.ExitCode.OK and session.config.stash.get(COMPLETE, False))
