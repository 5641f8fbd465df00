"""How long a session says that it will take."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stagebench.case import STAGES, Case, Workload
from stagebench.frameworks.simulated.pipeline import Pipeline
from stagebench.plugin.progress import span
from stagebench.run.environments import Environment
from stagebench.run.estimate import (
    CaseCosts,
    Cost,
    between,
    group_seconds,
    kinds,
    part_of,
    representatives,
)
from stagebench.run.schedule import PRECISE_PROCESSES, Conditions, Schedule
from stagebench.stages.pipeline import STAGE_RUNS
from stagebench.stages.stage import STEPS
from suite import wait_for

ARTICLE = ("--preset=article", "--cache=on", "--stages=data_loading,model_building,training")
FEW = (*ARTICLE, "--batch-sizes=32", "--workers=0")
CASE = Case("simulated", "cpu", 32, 0, "on", "on", "matched", "simulated")
COSTS = CaseCosts(
    start=3.0,
    first_model=0.5,
    steps={
        ("training", "set_up"): Cost(0.1, 0.0),
        ("training", "cold"): Cost(1.0, 30.0),
        ("training", "round"): Cost(0.2, 9.8),
        ("evaluation", "set_up"): Cost(1.0, 19.0),
        ("evaluation", "cold"): Cost(0.5, 2.5),
        ("evaluation", "round"): Cost(0.0, 1.0),
    },
)


def estimates(result):
    """Return the lines of a run that are its estimate, and the numbers of the groups that are finished."""
    return [line for line in result.outlines if line.startswith(("estimate:", "["))]


@pytest.mark.parametrize(
    ("stage", "epochs", "rounds", "seconds"),
    [
        # first model 0.5, set-up 0.1, cold 31 for one epoch and the watched one, two rounds of 10
        ("training", 1, 2, 0.5 + 0.1 + 31.0 + 2 * 10.0),
        # 19 more epochs of 10 in the cold execution, and in the round
        ("training", 20, 1, 0.5 + 0.1 + (31.0 + 190.0) + (10.0 + 190.0)),
        # set-up trains: 19 more epochs there, none in the executions
        ("evaluation", 20, 3, 0.5 + (20.0 + 190.0) + 3.0 + 3 * 1.0),
    ],
)
def test_a_process_takes_what_its_steps_and_epochs_take(stage, epochs, rounds, seconds):
    assert COSTS.working(stage, epochs, rounds) == pytest.approx(seconds)


def test_processes_start_together_and_work_in_turn(small_dataset):
    schedule = Schedule(rounds=2, processes=3, threads=2)
    conditions = Conditions(Workload(100), small_dataset, {}, schedule)
    slow = replace(COSTS, start=4.0)

    # once: 3 + 3 + 4 s of starting on two processors, and 51.6 s of work each
    assert group_seconds("training", [COSTS, COSTS, slow], conditions) == pytest.approx([3 * 159.8] * 2)
    assert group_seconds("training", [slow], conditions) == pytest.approx([3 * 55.6] * 2)


@pytest.mark.parametrize(
    ("seconds", "repeats"),
    [(10.0, (PRECISE_PROCESSES, 30)), (100.0, (3, 3)), (1000.0, (1, 1))],
)
def test_precision_ends_between_its_fewest_processes_and_its_longest_time(seconds, repeats):
    schedule = Schedule(within=0.02, max_time=300.0)

    assert schedule.repeats(2, seconds) == repeats
    assert schedule.repeats(1, seconds) == (1, 1), "a case alone has no ratio to make precise"


def test_a_step_costs_a_fixed_part_and_one_that_grows_with_the_images():
    assert Cost.through((0.1, 3.0), (0.5, 7.0)) == Cost(fixed=2.0, whole=10.0)
    assert Cost.through((0.1, 3.0), (0.5, 2.0)) == Cost(fixed=2.0, whole=0.0), "images that give time back"
    assert Cost.through((1.0, 3.0), (1.0, 4.0)) == Cost(fixed=4.0, whole=0.0), "a data set of one part"


def test_loader_processes_cost_their_start_and_share_the_work():
    few, many = (
        replace(COSTS, steps={("training", "round"): cost}) for cost in (Cost(1.0, 10.0), Cost(3.0, 4.0))
    )
    probes = {0: few, 10: many}

    assert between(0, probes) == few
    assert between(10, probes) == many
    assert between(5, probes).steps == {("training", "round"): Cost(2.0, 4.0)}
    assert between(20, probes).steps == {("training", "round"): Cost(5.0, 4.0)}


def test_cases_of_a_kind_are_probed_without_and_with_loader_processes(small_dataset):
    python = {name: Environment("simulated", "simulated") for name in ("simulated", "simulated again")}
    conditions = Conditions(Workload(100), small_dataset, python, Schedule())
    cases = [replace(CASE, workers=workers, batch_size=batch) for workers in (10, 0, 5) for batch in (64, 16)]
    cases += [replace(CASE, environment="simulated again"), replace(CASE, cache="off")]

    similar, without_cache = kinds(cases, conditions)
    assert [(case.workers, case.batch_size) for case in representatives(similar)] == [(0, 64), (10, 64)]
    assert [case.cache for case in representatives(without_cache)] == ["off"]


def test_a_part_of_the_data_set_has_the_same_share_of_every_class(small_dataset, tmp_path):
    part = part_of(small_dataset, 115, tmp_path / "part.json")

    assert (len(part.train), len(part.test)) == (115, 55)
    assert part.classes == small_dataset.classes
    assert max(part.labels("train")) - min(part.labels("train")) > 90
    assert part.root == small_dataset.root


class Counting(Pipeline):
    """Counts the epochs that it trains."""

    trained = 0

    def train(self, epochs):
        self.trained += epochs
        return super().train(epochs)


@pytest.mark.parametrize("stage", STAGES)
def test_the_steps_that_are_said_to_train_do(stage, small_dataset, tmp_path):
    def epochs_trained(epochs):
        """Return how many epochs each step trains where the workload has so many."""
        workload = Workload(100, epochs=epochs)
        pipeline, checker = (Counting(CASE, workload, small_dataset) for _ in range(2))
        run, counts = None, []
        for step in STEPS:
            before = pipeline.trained
            if step == "set_up":
                run = STAGE_RUNS[stage](pipeline, checker, workload, tmp_path / "model.npy")
            else:
                run.prepare()
                run.outcome(run.run())
            counts.append(pipeline.trained - before)
        return counts

    more = [many - one for one, many in zip(epochs_trained(1), epochs_trained(3), strict=True)]
    assert dict(zip(STEPS, more, strict=True)) == {
        step: 2 if step in STAGE_RUNS[stage].trains_in else 0 for step in STEPS
    }


def test_a_preset_says_how_long_it_takes_before_the_first_group(suite):
    result = suite.run(*ARTICLE)

    first, *groups = estimates(result)
    result.assert_outcomes(passed=9)
    result.stdout.re_match_lines(
        [
            r"estimate: .* (s|min) for 9 cases in 3 groups \(probed in \d+ s\); "
            r"interrupted, it goes on with --resume",
            r"\[1/3\] data_loading.*",
        ]
    )
    assert first.startswith("estimate:")
    assert len(groups) == 3


@pytest.mark.parametrize(
    "options", [("--cache=on", "--stages=training"), (*FEW, "-q"), (*FEW, "--benchmark-disable")]
)
def test_nothing_is_probed_where_nothing_is_to_be_said(suite, options):
    assert "estimate" not in suite.run(*options).stdout.str()


def test_a_resumed_session_estimates_what_is_left(suite):
    options = (*ARTICLE, "--batch-sizes=16,32", "--workers=0,5")
    process = suite.start('{"training": {"fault": "hang"}}', "-k", "not training", *options)
    wait_for(process, "[1/2] data_loading")
    process.kill()
    process.communicate()

    result = suite.run(*options, "--resume")

    result.stdout.fnmatch_lines(
        "estimate: * for 4 cases in 2 groups beside 1 taken from the interrupted run (probed in * s)*"
    )


def test_a_probe_that_fails_stops_nothing(suite, monkeypatch):
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps({"training": {"fault": "kill"}}))
    result = suite.run(*FEW)

    result.assert_outcomes(passed=2, failed=1)
    (said,) = [line for line in estimates(result) if line.startswith("estimate:")]
    assert said.startswith("estimate: none, probe of simulated-cpu-batch32-workers0-")
    assert "was killed by SIGKILL" in said
    assert said.endswith("simulated: about to be killed")


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (40, 62, "40 to 62 s"),
        (60, 200, "1 to 3 min"),
        (5400, 5400, "1.5 h"),
        (9 * 3600, 14.2 * 3600, "9 to 14 h"),
    ],
)
def test_a_range_of_time_has_one_unit(least, most, text):
    assert span(least, most) == text
