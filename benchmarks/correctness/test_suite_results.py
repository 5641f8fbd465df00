"""What is saved and compared: complete, unchanged, and only what passed its checks."""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from pytest_benchmark.storage.file import FileStorage

from stagebench.frameworks import INSTALLED
from stagebench.plugin.whole_files import save_whole_files
from stagebench.stages import PIPELINE
from suite import start_suite

CONTRACT = """
stage framework framework_version environment device device_name batch_size workers cache augment recipe
images images_per_second cold_seconds peak_rss_bytes processes threads loss accuracy dataset_fingerprint
limit_seconds limit_fraction data_wait_fraction
"""


@pytest.fixture(scope="module")
def whole(suite_cache, tmp_path_factory):
    """A folder in which the suite has measured every stage once."""
    folder = tmp_path_factory.mktemp("whole")
    session = start_suite(folder, "{}", "--cache=on", STAGEBENCH_CACHE=str(suite_cache))
    output, _ = session.communicate()
    assert session.returncode == 0, output
    return folder


@pytest.fixture
def saved_before(suite, whole):
    """The suite, in a folder with a run that it has saved before."""
    shutil.copytree(whole, suite.folder, dirs_exist_ok=True)
    return suite


def test_every_case_is_saved_with_its_raw_rounds_and_the_contracts_keys(suite):
    suite.run("--cache=on", "--processes=2").assert_outcomes(passed=6)

    (run,) = suite.saved()
    assert [b["extra_info"]["stage"] for b in run["benchmarks"]] == list(PIPELINE)
    for benchmark in run["benchmarks"]:
        info = benchmark["extra_info"]
        assert set(info) >= set(CONTRACT.split())
        assert len(benchmark["stats"]["data"]) == len(info["cpu_seconds"]) == 4, "2 processes x 2 rounds"
        assert info["processes"] == 2
        assert info["cold_seconds"] > 0
        assert info["peak_rss_bytes"] > 10_000_000
        assert len(info["dataset_fingerprint"]) >= 16
        images = {"data_loading": 40, "training": 40, "evaluation": 20}.get(info["stage"])
        settings = (32, 0, "on", "on") if images else (None,) * 4
        assert info["images"] == images
        assert tuple(info[axis] for axis in ("batch_size", "workers", "cache", "augment")) == settings


@pytest.mark.fault("two sessions that save under one name", "both are saved, under two numbers")
def test_sessions_that_save_under_one_name_at_once_are_all_saved(tmp_path):
    save_whole_files()
    storage = FileStorage(tmp_path, Mock())
    with ThreadPoolExecutor(8) as sessions:
        list(sessions.map(lambda number: storage.save({"session": number}, "name"), range(8)))

    saved = sorted(tmp_path.iterdir())
    assert [path.name for path in saved] == [f"{number:04}_name.json" for number in range(1, 9)]
    assert {json.loads(path.read_text())["session"] for path in saved} == set(range(8))


@pytest.mark.skipif(not INSTALLED, reason="no framework is installed")
@pytest.mark.parametrize(
    ("stages", "cache"),
    [
        ("training", "on"),
        pytest.param("data_loading", "on", marks=pytest.mark.nightly("one more group of torch")),
        pytest.param("data_loading,training", "off", marks=pytest.mark.nightly("two more groups of torch")),
    ],
)
def test_a_real_case_has_a_limit_and_its_wait_for_data(suite, stages, cache):
    result = suite.run(f"--stages={stages}", f"--cache={cache}", frameworks=INSTALLED[0])

    result.assert_outcomes(passed=len(stages.split(",")))
    (run,) = suite.saved()
    for info in (benchmark["extra_info"] for benchmark in run["benchmarks"]):
        assert info["limit_seconds"] > 0
        assert info["limit_fraction"] > 0
        assert info["machine_rates"]
        if info["stage"] == "training":
            assert 0 <= info["data_wait_fraction"] <= 1
        else:
            assert info["data_wait_fraction"] is None


def test_the_same_machine_and_data_read_the_same_twice(saved_before):
    saved_before.run("--cache=on", "--stages=training")

    first, second = saved_before.saved()
    assert first["machine_info"] == second["machine_info"]
    assert first["machine_info"]["cpu"]["brand_raw"]
    assert {"frameworks", "gpus", "libraries", "thread_variables"} <= set(first["machine_info"])
    fingerprints = {run["benchmarks"][0]["extra_info"]["dataset_fingerprint"] for run in (first, second)}
    assert len(fingerprints) == 1


def test_a_second_run_compares_every_case_with_the_first(saved_before):
    result = saved_before.run("--cache=on", "--benchmark-compare")

    compared = [line for line in result.outlines if "(NOW)" in line]
    before = [line for line in result.outlines if "(0001_" in line]
    assert len(compared) == len(before) == 6
    assert "machine_info is different" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("compare", ["--benchmark-compare", "--benchmark-compare=0001"])
def test_a_baseline_that_another_python_has_saved_is_found(saved_before, compare):
    suite = saved_before
    (own,) = [path.parent for path in suite.folder.glob(".benchmarks/*/0001_*.json")]
    own.rename(own.with_name("Linux-CPython-3.9-64bit"))
    result = suite.run("--cache=on", "--stages=training", compare)

    assert result.ret == 0
    assert any("0001_" in line for line in result.outlines if "simulated" in line), result.outlines


def test_compare_fail_fails_on_a_regression_alone(suite, monkeypatch):
    options = ("--cache=on", "--stages=training", "--benchmark-compare=0001")
    monkeypatch.setenv("STAGEBENCH_SIMULATED", '{"training": {"cost": {"seconds": 0.2}}}')
    suite.run("--cache=on", "--stages=training")
    equal = suite.run(*options, "--benchmark-compare-fail=median:20%")
    monkeypatch.setenv("STAGEBENCH_SIMULATED", '{"training": {"cost": {"seconds": 0.6}}}')
    slower = suite.run(*options, "--benchmark-compare-fail=median:20%", fresh=True)  # it ends in an exception

    assert equal.ret == 0
    assert slower.ret == 1
    slower.stderr.fnmatch_lines("*Performance has regressed*")
    slower.stdout.fnmatch_lines("* simulated, 0w * 6?? ms *")


@pytest.mark.parametrize(
    ("stage", "fault", "message"),
    [
        ("data_loading", "lose_an_image", "*an epoch is not every training image once*"),
        ("training", "diverge", "*loss per epoch is not finite: *nan*"),
        ("training", "climb", "*loss per epoch does not fall: [[]1.0, 2.0]*"),
        ("model_saving", "lose_precision", "*a saved and loaded model's logits differ by *"),
        ("model_building", "raise", "*RuntimeError: simulated failure"),
    ],
)
def test_the_timings_of_a_case_that_fails_validation_are_in_no_file(
    suite, monkeypatch, stage, fault, message
):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({stage: {"fault": fault}}))
    result = suite.run(
        "--cache=on",
        "--batch-sizes=8",
        f"--stages={stage},data_loading,model_loading",
        "--benchmark-json=all.json",
    )

    result.stdout.fnmatch_lines(message)
    (autosaved,) = suite.saved() or [{"benchmarks": []}]
    dumped = json.loads((suite.folder / "all.json").read_text()) if autosaved["benchmarks"] else autosaved
    for run in (autosaved, dumped):
        assert stage not in [benchmark["extra_info"]["stage"] for benchmark in run["benchmarks"]]
    assert f"test_{stage}[" not in result.stdout.str().partition("Name (time in")[2].partition("Legend")[0]
    assert "Benchmark fixture was not used" not in result.stdout.str()


def test_durations_arrive_unchanged(pytester):
    durations = [0.1, 0.30000000000000004, 1e-9, 12345.678901234567]
    pytester.makepyfile(
        f"""
        import pytest
        from stagebench.plugin.replay import recorded_seconds, replay

        @pytest.mark.benchmark(timer=recorded_seconds)
        def test_it(benchmark):
            replay(benchmark, {durations})
        """
    )
    pytester.run(sys.executable, "-m", "pytest", "--benchmark-json=out.json", "-p", "no:cacheprovider")

    (benchmark,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert benchmark["stats"]["data"] == durations


def test_disabled_benchmarks_run_every_check_once_and_save_nothing(suite):
    result = suite.run("--cache=on", "--benchmark-disable")

    result.assert_outcomes(passed=6)
    assert suite.saved() == []


def test_skipped_benchmarks_start_no_worker_process(suite):
    result = suite.run("--cache=on", "--benchmark-skip", "-k", "test_training and simulated")

    result.assert_outcomes(skipped=1)
    assert "[1/" not in result.stdout.str()


def test_only_benchmarks_run_under_benchmark_only(suite):
    suite.run("--cache=on", "--benchmark-only", "--stages=training").assert_outcomes(passed=1)


def test_a_histogram_of_each_group_is_drawn(suite):
    options = ("--cache=on", "--stages=training", "--benchmark-histogram=plot")
    suite.run(*options, fresh=True).assert_outcomes(passed=1)  # pygal changes how Python finds modules

    (plot,) = suite.folder.glob("plot*.svg")
    assert "<svg" in plot.read_text()


def test_the_cases_of_a_group_stand_in_one_table_and_in_the_summary(suite):
    result = suite.run("--cache=on", "--stages=training", "--workers=0,2")

    result.stdout.fnmatch_lines(
        [
            "*benchmark 'training: cpu, batch 32, cache on, augment on': 2 tests*",
            "*test_training?simulated*workers0*",
            "*test_training?simulated*workers2*",
            "cpu, batch 32, cache on, augment on, matched",
            "training",
            "  simulated, 0w *",
            "  simulated, 2w *",
        ]
    )


def test_the_summary_fits_80_columns(suite):
    result = suite.run("--cache=on", "--workers=20")

    summary = result.outlines[next(i for i, line in enumerate(result.outlines) if "- stagebench -" in line) :]
    assert max(map(len, summary)) <= 80, max(summary, key=len)
