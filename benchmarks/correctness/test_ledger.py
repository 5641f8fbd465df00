"""`stagebench ledger`: how `published` differs from `matched`, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from msgspec.structs import asdict

from stagebench.article import differences
from stagebench.article.differences import measure_all_differences, measure_differences
from stagebench.article.ledger import cost_of_published
from stagebench.case import Case, plain
from stagebench.cli import main
from stagebench.frameworks import INSTALLED, Framework
from stagebench.results.file import read_run
from stagebench.results.run import Difference
from stagebench.run.process import WorkerError

CASE = Case("simulated", "simulated", augment="off")
MATCHED = [1.0, 2.0, 4.0]
"""Seconds of three rounds on a machine that slows down."""
PUBLISHED = [2.0, 4.4, 7.2]
"""2, 2.2 and 1.8 times as many."""

COMMON = {"initial conv1/kernel, standard deviation", "initial dense2/kernel, standard deviation"}
DIFFERENCE = Difference("Adam", "simulated", "`epsilon=1e-07`", "`epsilon=1e-08`", "0.14 of the rate")

Save = Callable[..., Path]


def benchmark(case: Case, seconds: list[float], processes: int = 1) -> dict[str, Any]:
    info = {"stage": "training", **plain(case), "framework_version": "1.0", "processes": processes}
    info |= {"cold_seconds": 1.0, "peak_rss_bytes": 1}
    info["rounds_per_process"] = [len(seconds) // processes] * processes
    return {"stats": {"data": seconds}, "extra_info": info}


def pair(**changes: Any) -> list[dict[str, Any]]:
    case = replace(CASE, **changes)
    return [benchmark(replace(case, recipe="published"), PUBLISHED), benchmark(case, MATCHED)]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that writes a run of these benchmarks."""

    def save_(*benchmarks: dict[str, Any]) -> Path:
        path = tmp_path / "run.json"
        machine = {"cpu": {"brand_raw": "A CPU"}}
        section = {"differences": [asdict(DIFFERENCE)]}
        path.write_text(
            json.dumps({"machine_info": machine, "benchmarks": benchmarks, "stagebench": section})
        )
        return path

    return save_


def test_the_ratio_is_that_of_the_medians_of_both_recipes(save: Save) -> None:
    (ratio,) = cost_of_published(read_run(save(*pair()))).values()
    assert ratio.estimate == pytest.approx(median(PUBLISHED) / median(MATCHED))


def test_several_processes_count_once_each(save: Save) -> None:
    published = benchmark(replace(CASE, recipe="published"), [2.0, 2.0, 3.0, 3.0], processes=2)
    (ratio,) = cost_of_published(read_run(save(published, benchmark(CASE, [1.0] * 4, processes=2)))).values()
    low, high = ratio.interval
    assert (low * high) ** 0.5 == pytest.approx(ratio.estimate) == pytest.approx(6**0.5)
    assert ratio.processes == 2


def test_each_setting_has_a_table(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(save(*pair(), *pair(workers=2), *pair(batch_size=64)))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "simulated 1.0, on A CPU." in lines
    assert "| Adam | simulated | `epsilon=1e-07` | `epsilon=1e-08` | 0.14 of the rate |" in lines
    assert "cpu, batch 32, cache on, augment off:" in lines
    assert "| stage | simulated, 0w | simulated, 2w |" in lines
    assert "| training | 2.20 (1.81 to 2.67) | 2.20 (1.81 to 2.67) |" in lines
    assert "cpu, batch 64, cache on, augment off:" in lines
    assert "| training | 2.20 (1.81 to 2.67) |" in lines


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "is not a run of this suite"),
        ('{"benchmarks": [{"stats": {"data": [1]}, "extra_info": {}}]}', "is not a run of this suite"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    content: str | None, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    assert_refused(path, f"{path} {complaint}", capsys)


def test_a_run_of_one_recipe_is_refused(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(benchmark(CASE, MATCHED))
    assert_refused(path, f"{path} holds no case in both recipes", capsys)


def test_processes_without_a_neighbour_are_refused(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(pair()[0], benchmark(CASE, MATCHED[:2], processes=2))
    assert_refused(path, f"{path} holds a group of unequal numbers of processes", capsys)


def test_a_run_that_does_not_say_what_differs_is_refused(
    save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(*pair())
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "stagebench": {}}))
    assert_refused(path, f"{path} holds no differences between the recipes", capsys)


def assert_refused(path: Path, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"stagebench: {complaint}")
    assert captured.err.count("\n") == 1


def test_a_framework_that_cannot_be_inspected_discards_nothing_of_the_others(monkeypatch) -> None:
    def measure(framework: str, networks: Collection[str]) -> list[Difference]:
        if framework == "torch":
            raise WorkerError("its worker process died")
        return [DIFFERENCE]

    monkeypatch.setattr(differences, "measure_differences", measure)
    monkeypatch.setattr(Framework, "missing", lambda framework: None)
    said: list[str] = []

    assert measure_all_differences({"tensorflow": {"article"}, "torch": {"article"}}, said.append) == [
        DIFFERENCE
    ]
    assert "differs in torch could not be measured: its worker process died" in said[0]


@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
def test_the_ledger_lists_what_differs_in_torch() -> None:
    rows = {row.choice: row for row in measure_differences("torch")}

    loss = "reported loss, last batch of 14 instead of 32 images"
    assert rows.keys() == {*COMMON, "pixels", loss, "model file, bytes"}
    assert largest(rows["pixels"]) < 0.01


@pytest.mark.skipif("torch" not in INSTALLED, reason="torch is not installed")
def test_the_ledger_says_that_the_forms_of_cifar10_are_unequal() -> None:
    rows = {row.choice: row for row in measure_differences("torch", {"article", "cifar10"})}

    assert rows["cifar10: parameters"].published == "288,100"  # with 100 classes
    assert rows["cifar10: pixels"].published == "`normalize='half'`"
    assert largest(rows["cifar10: pixels"]) > 0.9
    assert rows["cifar10: accuracy after 4 epochs of 500 images"].measured.endswith("points, one run each")


@pytest.mark.nightly("the other framework; `published` promises no equal work")
@pytest.mark.skipif("tensorflow" not in INSTALLED, reason="tensorflow is not installed")
def test_the_ledger_lists_what_differs_in_tensorflow() -> None:
    rows = {row.choice: row for row in measure_differences("tensorflow")}

    pixels = {"pixels: JPEG decoding", "pixels: resize"}
    assert rows.keys() == {*COMMON, *pixels, "BatchNorm epsilon", "BatchNorm momentum", "Adam"}
    assert 0.001 < largest(rows["pixels: JPEG decoding"]) < largest(rows["pixels: resize"])
    assert rows["BatchNorm momentum"].published == "`momentum=0.99`"
    assert rows["BatchNorm momentum"].matched == "`momentum=0.9`"


def largest(row: Difference) -> float:
    """Return the figure behind `max`, of full scale."""
    return float(row.measured.split()[1].rstrip(","))
