"""What the correctness tests try: pipelines in worker processes, and the suite itself."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pair import OF_SETTINGS, Pair, Remote
from stagebench.case import AXES
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.processors import usable_threads
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare
from stagebench.frameworks import FRAMEWORKS, THREAD_VARIABLES
from stagebench.plugin.session_options import SessionOptions
from stagebench.run.environments import Environment
from stagebench.run.process import WorkerError, WorkerProcess
from suite import Suite

OpenPipeline = Callable[..., Remote]
OpenPage = Callable[..., Any]


MARKERS = (
    "nightly(why): too slow for a pull request; says why.",
    "alone: takes times, or needs the machine to itself; nothing runs beside it.",
    "fault(what, happens): a row of the table of faults in README.md.",
)


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("correctness", deadline=None)  # tests beside each other take what they take
    settings.load_profile("correctness")
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # Else pytest-benchmark would take no times in the sessions that tests start.
    if os.environ.pop("PYTEST_XDIST_WORKER", None):
        # Tests beside each other share the processors: spinning threads of two frameworks slow down both.
        share = max(1, usable_threads() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(share)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that needs the machine to itself wait for those beside it, and them for it."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


SHARING = (
    {"gate", "mutants", "placement"},
    {
        *("accumulation", "api", "batches", "custom_loop", "deployment", "faults_data", "faults_hostile"),
        *("faults_jpegs", "logging", "model_files", "network", "reproducibility", "rest", "schedule"),
    },
)
"""Files whose tests share the processes of both frameworks, which take 6 s to start: a set for each worker of
pytest-xdist; then they do the rest, file by file."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let tests of one file share what they make, and those of the frameworks their processes.

    pytest-xdist has `loadgroup` for that; under pytest 9.2 it groups nothing (its issue 1386).
    """
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "loadfile":
        return None

    class Sharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            subject = Path(file).stem.removeprefix("test_")
            return next((str(number) for number, files in enumerate(SHARING) if subject in files), file)

    return Sharing(config, log)


@functools.cache
def environment_of(config: pytest.Config, framework: str) -> Environment:
    """Return where a framework's processes run: here, or in what `--env FRAMEWORK=PYTHON` names."""
    here = Environment(framework, framework)
    return SessionOptions.resolve(config.getoption).environments.get(framework, here)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that names `framework` for each real framework of the session."""
    if "framework" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("frameworks")
        names = [name for name, f in FRAMEWORKS.items() if f.imports and (not chosen or name in chosen)]
        missing = {name: environment_of(metafunc.config, name).missing() for name in names}
        metafunc.parametrize(
            "framework",
            [
                pytest.param(name, marks=[pytest.mark.skip(reason=reason)] if reason else [])
                for name, reason in missing.items()
            ],
            scope="session",  # all tests of a framework in a row, in one process
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the gate's tests of recipes other than those that are asked for."""
    for item in items:
        for marker in item.iter_markers("nightly"):
            if not marker.args:
                raise pytest.UsageError(f"{item.nodeid} does not say why it is nightly")
    chosen = config.getoption("recipes")
    others = set(AXES["recipe"].values) - set(chosen or AXES["recipe"].values)
    left_out = [item for item in items if item.get_closest_marker("gate") and _parameters(item) & others]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _parameters(item: pytest.Item) -> set[object]:
    callspec = getattr(item, "callspec", None)
    return {value for value in callspec.params.values() if isinstance(value, str)} if callspec else set()


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """230 training and 110 test images of 100 classes: the last batches are ragged."""
    request = DatasetRequest("synthetic", train_images=230, test_images=110, classes=100)
    return prepare(request, tmp_path_factory.mktemp("datasets"), lambda *_: None)


@pytest.fixture(scope="session")
def start_worker(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], WorkerProcess]]:
    workers: list[WorkerProcess] = []

    def start(name: str) -> WorkerProcess:
        python = environment_of(pytestconfig, name.partition("-")[0]).python
        workers.append(WorkerProcess(name, tmp_path_factory.mktemp(name), python))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture(scope="session")
def process_of(start_worker: Callable[[str], WorkerProcess]) -> Callable[[str], WorkerProcess]:
    """Return a function that gives a framework's process, started at first use and kept for the session."""
    return functools.cache(start_worker)


@pytest.fixture(scope="session")
def second_worker(start_worker: Callable[[str], WorkerProcess]) -> Callable[[str], WorkerProcess]:
    """Return a function that gives another process of a framework."""
    return functools.cache(lambda framework: start_worker(f"{framework}-second"))


@pytest.fixture(scope="session")
def open_pipeline(
    framework: str, process_of: Callable[[str], WorkerProcess], small_dataset: Manifest
) -> OpenPipeline:
    """Return a function that makes a fresh pipeline; it takes axes of the case and fields of the workload."""

    def open_(worker: WorkerProcess | None = None, **changes: Any) -> Remote:
        pair = Pair({framework: worker or process_of(framework)}, small_dataset)
        (pipeline,) = pair.pipelines(**changes)
        return pipeline

    return open_


@pytest.fixture(scope="session")
def pair(
    pytestconfig: pytest.Config, process_of: Callable[[str], WorkerProcess], small_dataset: Manifest
) -> Pair:
    """Both real frameworks, side by side."""
    names = ("torch", "tensorflow")
    for name in names:
        if missing := environment_of(pytestconfig, name).missing():
            pytest.skip(missing)
    return Pair({name: process_of(name) for name in names}, small_dataset)


@pytest.fixture(params=OF_SETTINGS)
def both(request: pytest.FixtureRequest, pair: Pair) -> Pair:
    """Both real frameworks, in each recipe that promises equal work."""
    return replace(pair, recipe=request.param)


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that gives the path of a model file with a framework's suffix."""
    return lambda framework: str(tmp_path / f"model{FRAMEWORKS[framework].model_suffix}")


Request = tuple[str, dict[str, Any]]
"""To a worker process: a method of `worker.Worker`, and its arguments."""


@pytest.fixture
def failing(pytestconfig: pytest.Config, tmp_path: Path, small_dataset: Manifest) -> Callable[..., str]:
    """Return a function that opens a case in a worker process and says how a request to it failed.

    The process is a fresh one, unless one that survives the failure is given.
    """

    def fail(framework: str, *requests: Request, worker: WorkerProcess | None = None, **axes: Any) -> str:
        if worker is None:
            python = environment_of(pytestconfig, framework).python
            with WorkerProcess("case", tmp_path, python) as fresh:
                return fail(framework, *requests, worker=fresh, **axes)
        Pair({framework: worker}, small_dataset).pipelines(**axes)
        try:
            for method, arguments in requests:
                worker.request(method, **arguments)
        except WorkerError as error:
            return str(error)
        pytest.fail("no request has failed")

    return fail


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, suite_cache: Path) -> Iterator[Suite]:
    monkeypatch.setenv("STAGEBENCH_CACHE", str(suite_cache))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("STAGEBENCH_SIMULATED", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    suite = Suite(pytester)
    yield suite
    for process in suite.started:  # one that outlives its test would keep its turn to measure
        process.kill()


@pytest.fixture
def mounted(suite: Suite) -> Callable[[Path | str, str], Suite]:
    """Return a function that lets the suite see a file system of its own kind in a folder."""
    possible = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(possible, check=False, capture_output=True).returncode:
        pytest.skip("this system allows no mounts in a namespace (unshare -rm)")

    def mount(folder: Path | str, options: str) -> Suite:
        Path(folder).mkdir(parents=True, exist_ok=True)
        script = f'mount -t tmpfs -o {options} tmpfs "$0" && cd "$PWD" && exec "$@"'
        suite.within = ["unshare", "-rm", "sh", "-c", script, str(folder)]
        return suite

    return mount


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets the suite find none of some modules."""

    def hide_(*names: str) -> None:
        for module in ("stagebench.frameworks.entry", "stagebench.run.environments"):
            monkeypatch.setattr(
                f"{module}.find_spec", lambda name: None if name in names else find_spec(name)
            )

    return hide_


@pytest.fixture(scope="session")
def suite_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        pytest.skip("neither chromium nor google-chrome is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Return a function that opens a file as a reader without a network does; nothing may go wrong there."""
    contexts, problems = [], []

    def open_(file: Path, drawn: bool = True, **options: Any) -> Any:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        context.on(
            "request",
            lambda asked: (
                problems.append(asked.url)
                if asked.url.split("#")[0] != file.as_uri() and not asked.url.startswith("data:")
                else None
            ),
        )
        shown.goto(file.as_uri())
        if drawn:
            shown.wait_for_selector("html[data-drawn=all]")
        return shown

    yield open_
    for context in contexts:
        context.close()
    assert problems == []
