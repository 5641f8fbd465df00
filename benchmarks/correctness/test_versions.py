"""Versions against each other: environments, the gate, the second measurement, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from planted import PERMUTED, SLOWER, plant
from stagebench.cli import main
from stagebench.frameworks import INSTALLED
from stagebench.versions import versions, virtual_environments
from stagebench.versions.virtual_environments import Requirement, VirtualEnvironmentError, make

SIMULATED = "stagebench.frameworks.simulated.pipeline"
COST = {"training": {"cost": {"seconds": 0.02}}, "evaluation": {"cost": {"seconds": 0.02}}}
TINY = ("--train-images=40", "--test-images=20", "--classes=4", "--rounds=3", "--processes=5", "--cache=on")

ONE_PROCESS = ("--processes=1",)
"""For tests that need no verdict."""


@pytest.fixture
def measured(tmp_path, monkeypatch, capfd):
    """Return a function that measures this Python against others; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(COST))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setattr(versions, "_passes", lambda *_: True)  # `simulated` computes nothing to be checked

    def measure(*pythons, stages="training,evaluation", options=()):
        named = [f"simulated@{number}={python}" for number, python in enumerate(pythons, start=1)]
        code = main(["versions", *named, *TINY, f"--stages={stages}", *options])
        return code, *capfd.readouterr()

    return measure


@pytest.mark.nightly("measures versions for real, twice")
@pytest.mark.alone
def test_a_planted_slow_down_is_found_confirmed_and_named_by_its_stage(measured, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    slower = plant(tmp_path / "slower", sys.executable, SIMULATED, "Pipeline.train", SLOWER.format(share=0.5))

    code, output, error = measured(sys.executable, slower)
    assert code == 1, output
    assert "Regression: training, simulated: 1." in output
    assert "confirmed by a second measurement: 1." in output
    assert "a regression in training: measuring it a second time" in error
    verdicts = json.loads(Path("versions/verdicts.json").read_text())
    (comparison,) = verdicts["comparisons"]
    found = {change["stage"]: change for change in comparison["changes"]}
    assert found["training"]["confirmed"]
    assert found["training"]["second_measurement"]["estimate"] > 1.3
    assert found["training"]["base_again"]["unit"] == "processes"
    assert not found["evaluation"]["regression"]
    assert {path.name for path in Path("versions").iterdir()} == {
        "run.json", "second.json", "report.html", "verdicts.md", "verdicts.json"
    }  # fmt: skip
    assert summary.read_text().startswith("## simulated@1 to simulated@2")
    assert summary.read_text().count("## ") == 1  # and not the report of each run beside it


@pytest.mark.nightly("measures versions for real")
@pytest.mark.alone
def test_equal_versions_have_no_regression_and_no_second_measurement(measured):
    code, output, _ = measured(sys.executable, sys.executable, stages="training")

    assert code == 0, output
    assert "no regression was found" in output
    assert not Path("versions/second.json").exists()


def test_a_case_that_fails_in_the_head_is_1_and_its_verdict_removed(measured, tmp_path):
    broken = plant(
        tmp_path / "broken",
        sys.executable,
        SIMULATED,
        "Pipeline.train",
        "def wrapper(original):\n    def fail(*_):\n        raise RuntimeError('planted')\n    return fail\n",
    )

    code, output, error = measured(sys.executable, broken, stages="training", options=ONE_PROCESS)
    assert code == 1
    assert "exit 1, whatever the verdicts say: a case failed" in error
    assert "planted" in output
    assert "1 REMOVED" in output


def test_what_the_gate_stops_gets_no_time(measured, monkeypatch):
    monkeypatch.setattr(versions, "_passes", lambda environments, *_: "@2" not in environments[0].name)

    pythons = (sys.executable, sys.executable, sys.executable)
    code, _, error = measured(*pythons, stages="training", options=ONE_PROCESS)
    assert code == 1
    assert "the gate stopped simulated@2: what computes something else is not measured" in error
    assert "exit 1, whatever the verdicts say: a version failed the gate" in error
    environments = {
        b["extra_info"]["environment"]
        for b in json.loads(Path("versions/run.json").read_text())["benchmarks"]
    }
    assert environments == {"simulated@1", "simulated@1+again", "simulated@3"}


def test_nothing_to_compare_is_2(measured):
    code, _, error = measured(sys.executable)

    assert code == 2
    assert "give two versions of a framework, or --against" in error


@pytest.mark.parametrize(
    ("option", "message"),
    [("--rounds=0", "'0' is not a whole number of 1 or more"), ("--round-trips=1", "unrecognized arguments")],
)
def test_a_wrong_option_is_refused_before_the_gate(measured, option, message):
    code, _, error = measured(sys.executable, sys.executable, options=(option,))

    assert code == 2
    assert message in error
    assert "gate" not in error
    assert len(error.splitlines()) == 1


def test_another_checkout_that_is_none_is_refused(measured, tmp_path):
    code, _, error = measured(sys.executable, sys.executable, options=(f"--against={tmp_path}",))

    assert code == 2
    assert "is no checkout: it has no src/stagebench" in error


def test_another_checkout_of_before_the_present_layout_is_refused(measured, tmp_path):
    (tmp_path / "src" / "stagebench" / "measurement").mkdir(parents=True)
    code, _, error = measured(sys.executable, sys.executable, options=(f"--against={tmp_path}",))

    assert code == 2
    assert "is too old to measure against: it has no src/stagebench/run/worker.py" in error


@pytest.mark.nightly("runs a part of the gate twice, in two environments")
@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
def test_the_gate_stops_weights_that_are_loaded_with_channels_permuted(tmp_path):
    planted = plant(tmp_path / "planted", sys.executable, "torch.nn", "Module.load_state_dict", PERMUTED)
    tests = Path(__file__).with_name("test_model_files.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(tests),
        "-q",
        "-m",
        versions.GATE,
        "-p",
        "no:cacheprovider",
    ]
    command += ["--frameworks=torch", "--recipes=matched", "--benchmark-skip"]

    well = subprocess.run([*command, f"--env=torch={sys.executable}"], capture_output=True, text=True)
    assert well.returncode == 0, well.stdout
    wrong = subprocess.run([*command, f"--env=torch={planted}"], capture_output=True, text=True)
    assert wrong.returncode == 1, wrong.stdout
    assert "test_a_reloaded_model_is_equal" in wrong.stdout


@pytest.mark.parametrize(
    "text", ["torch", "torch==", "jax==1.0", "torch==2.14; rm", "simulated==1", "torch==-r x"]
)
def test_a_version_that_is_none_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="is not FRAMEWORK==VERSION"):
        Requirement.parse(text)


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """Return a function that makes `uv` a script; what it was asked stands in `asked`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def be(script):
        (folder / "uv").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{script}\n')
        (folder / "uv").chmod(0o755)

    return be


VENV = """
if [ "$1" = venv ]; then mkdir -p "$5/bin" "$5/lib/python3/site-packages"; touch "$5/bin/python"; fi
if [ "$2" = compile ]; then echo torch==2.15.0; fi
"""


def test_an_environment_is_made_once_with_what_a_worker_process_needs(uv, tmp_path):
    uv(VENV)
    said = []
    first = make(Requirement("torch", "newest"), tmp_path / "made", said.append)
    again = make(Requirement("torch", "2.15.0"), tmp_path / "made", said.append)

    assert first == again
    assert first.name == "torch@2.15.0"
    assert len(said) == 1
    (installed,) = [line for line in (tmp_path / "asked").read_text().splitlines() if "install" in line]
    assert {"torch==2.15.0", "torchvision", "numpy", "pillow", "platformdirs", "simplejpeg"} <= set(
        installed.split()
    )


def test_another_checkouts_pipelines_are_measured_in_an_environment_of_its_own(uv, tmp_path):
    uv(VENV)
    other = make(Requirement("torch", "2.15.0"), tmp_path / "made", print, source=tmp_path / "base")

    assert other.name == "torch@2.15.0+base"
    (path,) = (tmp_path / "made").glob("torch-2.15.0-py*-base-*/lib/python3/site-packages/stagebench.pth")
    assert path.read_text() == f"{tmp_path / 'base' / 'src'}\n"


def test_a_version_that_cannot_be_installed_is_one_sentence_and_leaves_nothing_to_be_taken(uv, tmp_path):
    uv(VENV + 'if [ "$2" = install ]; then echo "no torch==9.9" >&2; exit 1; fi')
    for _ in range(2):
        with pytest.raises(VirtualEnvironmentError, match=r"failed: no torch==9\.9"):
            make(Requirement("torch", "9.9"), tmp_path / "made", print)


def test_without_uv_the_error_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("STAGEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(virtual_environments.importlib.util, "find_spec", lambda name: None)

    assert main(["env", "torch==2.15.0"]) == 2
    assert "pip install uv" in capsys.readouterr().err
