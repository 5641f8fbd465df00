"""What the correctness tests try: pipelines in worker processes, and the suite itself."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pair import Pair, Remote
from stagebench.case import RECIPES
from stagebench.dataset import DatasetRequest, Manifest, prepare
from stagebench.environments import Environment
from stagebench.measurement.process import WorkerError, WorkerProcess
from stagebench.options import Settings
from stagebench.pipelines import FRAMEWORKS

OpenPipeline = Callable[..., Remote]
OpenPage = Callable[..., Any]


@functools.cache
def environment_of(config: pytest.Config, framework: str) -> Environment:
    """Return where a framework's processes run: here, or in what `--env FRAMEWORK=PYTHON` names."""
    here = Environment(framework, framework)
    return Settings.resolve(config.getoption).environments.get(framework, here)


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
    chosen = config.getoption("recipes")
    others = set(RECIPES) - set(chosen or RECIPES)
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


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that gives the path of a model file with a framework's suffix."""
    return lambda framework: str(tmp_path / f"model{FRAMEWORKS[framework].model_suffix}")


@pytest.fixture
def failing(pytestconfig: pytest.Config, tmp_path: Path, small_dataset: Manifest) -> Callable[..., str]:
    """Return a function that opens a case in a worker process and says how a request to it failed."""

    def fail(framework: str, *requests: tuple[str, dict[str, Any]], **axes: Any) -> str:
        python = environment_of(pytestconfig, framework).python
        with WorkerProcess("case", tmp_path, python) as worker:
            Pair({framework: worker}, small_dataset).pipelines(**axes)
            try:
                for method, arguments in requests:
                    worker.request(method, **arguments)
            except WorkerError as error:
                return str(error)
        pytest.fail("no request has failed")

    return fail


ROOT = Path(__file__).parents[2]
TINY = ("--train-images=40", "--test-images=20", "--classes=4", "--rounds=2", "--devices=cpu")


class Suite:
    """Runs `pytest benchmarks` in a process and a folder of its own, by default on `simulated`."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self.command = [sys.executable, "-m", "pytest", str(ROOT / "benchmarks"), "-p", "no:cacheprovider"]
        self.command += ["--ignore", str(ROOT / "benchmarks/correctness")]  # collecting these takes a second
        self.started: list[subprocess.Popen[str]] = []
        self._pytester = pytester

    def run(self, *options: str, frameworks: str = "simulated") -> pytest.RunResult:
        return self._pytester.run(*self.command, *TINY, f"--frameworks={frameworks}", *options)

    def start(self, script: str, *options: str) -> subprocess.Popen[str]:
        """Start the suite on `simulated`, which does what the script says, without waiting for it."""
        started = subprocess.Popen(
            [*self.command, *TINY, "--frameworks=simulated", *options],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "STAGEBENCH_SIMULATED": script},
            # a shell's background job hands on that Ctrl-C is to be ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.started.append(started)
        return started

    def wait_for(self, process: subprocess.Popen[str], start_of_line: str) -> None:
        """Wait until a suite that was started prints a line that begins so."""
        assert process.stdout
        for line in process.stdout:
            if line.startswith(start_of_line):
                return
        raise AssertionError(f"the suite ended without a line that begins with {start_of_line!r}")

    def saved(self) -> list[dict[str, Any]]:
        """Return what was autosaved, oldest run first."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob(".benchmarks/*/*.json"))]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, suite_cache: Path) -> Iterator[Suite]:
    monkeypatch.setenv("STAGEBENCH_CACHE", str(suite_cache))
    for name in ("STAGEBENCH_SIMULATED", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    suite = Suite(pytester)
    yield suite
    for process in suite.started:  # one that outlives its test would keep its turn to measure
        process.kill()


@pytest.fixture(scope="session")
def suite_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
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
