"""What the presets of `pytest benchmarks` stand for."""

from __future__ import annotations

from collections import Counter

import pytest

from stagebench.article.published_results import published_results
from stagebench.plugin.session_options import OptionError, SessionOptions


def settings(preset, **given):
    """Return what the preset comes to where these options are given."""
    return SessionOptions.resolve({"preset": preset, "frameworks": ("torch", "tensorflow"), **given}.get)


def rows_of(cases):
    return Counter((c.framework, c.device, c.batch_size, c.workers, c.cache, c.augment) for c in cases)


PUBLISHED = rows_of(published_results("cifar100"))


def test_the_published_results_are_33_rows_of_numbers():
    rows = [*published_results("cifar100"), *published_results("deepfashion")]

    assert len(rows) == 33
    assert Counter((row.dataset, row.device) for row in rows) == {
        ("cifar100", "cpu"): 17,
        ("cifar100", "cuda"): 14,
        ("deepfashion", "not stated"): 2,
    }
    for row in rows:
        assert isinstance(row.workers, int) or row.workers == "auto"
        assert row.training_seconds > row.evaluation_seconds > 0
        assert row.train_images > row.test_images > 0
        assert row.epochs == (20 if row.dataset == "cifar100" else None)


@pytest.mark.parametrize(("devices", "cases"), [(("cpu",), 17), (("cuda",), 14), (("cpu", "cuda"), 31)])
def test_article_is_exactly_the_published_rows_of_the_devices(devices, cases):
    found = rows_of(settings("article", devices=devices).cases("training"))

    assert found == {row: 1 for row in PUBLISHED if row[1] in devices}
    assert found.total() == cases


def test_article_has_the_size_of_the_published_run():
    values = settings("article", devices=("cpu",)).values

    expected = {
        "train_images": 50_000,
        "test_images": 10_000,
        "classes": 100,
        "image_size": 64,
        "input_size": 32,
        "epochs": 20,
        "seed": 25,
        "recipes": ("published",),
        "rounds": 1,
    }
    assert {name: values[name] for name in expected} == expected


def test_an_option_narrows_the_article():
    cases = settings("article", devices=("cpu",), batch_sizes=(32,), cache=("on",)).cases("training")

    assert rows_of(cases) == {row: 1 for row in PUBLISHED if row[1:3] == ("cpu", 32) and row[4] == "on"}


def test_each_row_comes_in_every_recipe_that_is_given():
    cases = settings("article", devices=("cpu",), recipes=("matched", "published")).cases("training")

    assert rows_of(cases) == {row: 2 for row in PUBLISHED if row[1] == "cpu"}
    assert {case.recipe for case in cases} == {"matched", "published"}


def test_another_environment_gets_the_rows_of_its_framework(suite):
    result = suite.run(
        "--preset=article",
        "--env=simulated@other=/bin/sh",
        "--stages=training",
        "--collect-only",
        "-q",
    )

    for name in ("simulated", "simulated@other"):
        found = [line for line in result.outlines if f"[{name}-cpu" in line]
        assert len(found) == sum(row[:2] == ("torch", "cpu") for row in PUBLISHED) == 12


def test_a_combination_that_was_not_published_is_an_error_that_says_what_was():
    with pytest.raises(OptionError) as error:
        settings("article", devices=("cpu",), batch_sizes=(128,))

    assert str(error.value) == (
        "--preset article has no such case; its tables have, though not in every combination, "
        "--frameworks=tensorflow,torch --devices=cpu,cuda --batch-sizes=16,32,64 --workers=0,5,10,15,20 "
        "--cache=off,on --augment=off,on"
    )


def test_large_has_the_size_of_the_second_data_set():
    large = settings("large", devices=("cpu",))

    assert rows_of(large.cases("training")) == {
        ("torch", "cpu", 32, 5, "off", "on"): 1,
        ("tensorflow", "cpu", 32, "auto", "off", "on"): 1,
    }
    request = large.dataset_request
    assert (request.train_images, request.test_images, request.image_size) == (249_222, 40_000, 128)
    assert {case.recipe for case in large.cases("training")} == {"published"}
    assert (large.values["epochs"], large.schedule.rounds) == (1, 1)


@pytest.mark.parametrize(
    ("given", "processes", "budget"),
    [
        ({}, 3, 300),
        ({"processes": 4}, 4, None),
        ({"processes": 4, "budget": 60.0}, 4, 60.0),
        ({"within": 0.02}, 3, None),
        ({"noise": True}, 5, None),
    ],
)
def test_the_quick_preset_has_a_budget_unless_the_number_of_processes_is_fixed(given, processes, budget):
    schedule = settings("quick", **given).schedule

    assert (schedule.processes, schedule.budget) == (processes, budget)


@pytest.mark.parametrize("preset", ["article", "large"])
def test_the_article_s_presets_measure_each_case_in_one_process(preset):
    assert settings(preset).schedule.processes == 1
    assert settings(preset).schedule.budget is None
