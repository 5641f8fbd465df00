"""Two versions of this package measure against each other: the wire takes what either of them knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stagebench.case import Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.machine.noise_store import (
    AXES_OF_KIND,
    KEPT,
    NoiseStore,
    SeenLevel,
    SeenSpread,
    kind_of_case,
)
from stagebench.run.conditions import Conditions, Schedule
from stagebench.run.environments import Environment
from stagebench.run.peak import PeakRates
from stagebench.run.pool import WorkerPool
from stagebench.run.process import WorkerProcess
from stagebench.run.sample import Failure, Measurement
from stagebench.run.schedule import Means, measure_group
from stagebench.run.worker import Worker

CASE = Case("simulated", "simulated")
OTHER = Case("simulated", "simulated@other")


@pytest.fixture
def measured(small_dataset: Manifest, monkeypatch: pytest.MonkeyPatch):
    """Return a function that measures two environments, in one of which answers are `changed`."""
    receive = WorkerProcess.receive

    def measure(changed):
        def receive_changed(self, *arguments, **options):
            answer = receive(self, *arguments, **options)
            return changed(answer) if self.name == OTHER.id and isinstance(answer, dict) else answer

        monkeypatch.setattr(WorkerProcess, "receive", receive_changed)
        environments = {
            case.environment: Environment(case.environment, "simulated") for case in (CASE, OTHER)
        }
        conditions = Conditions(Workload(100), small_dataset, environments, Schedule(rounds=1, processes=1))
        with WorkerPool() as pool:
            peak = PeakRates(conditions.workload, small_dataset.paths("train"), None, pool)
            means = Means(pool, peak, lambda _: 0.0)
            return measure_group("training", [CASE, OTHER], conditions, means, lambda _: None)

    return measure


def test_a_worker_process_passes_over_what_a_newer_version_asks_for(small_dataset: Manifest):
    worker = Worker()
    case = {**plain(CASE), "fusion": "on"}
    workload = {**plain(Workload(100)), "schedule": "constant"}

    worker.open(case=case, workload=workload, manifest=str(small_dataset.file), replicas=2)

    assert worker.case == CASE


def test_what_a_newer_version_measures_beside_is_passed_over(measured):
    found = measured(lambda answer: {**answer, "fused_kernels": 7})

    assert all(isinstance(result, Measurement) for result in found.values())


def test_a_version_that_does_not_measure_enough_fails_its_own_cases_in_a_sentence(measured):
    found = measured(lambda answer: {k: v for k, v in answer.items() if k != "page_faults"})

    assert isinstance(found[CASE], Measurement)
    assert isinstance(found[OTHER], Failure)
    assert "is too old to measure against: " in found[OTHER].reason
    assert "'page_faults'" in found[OTHER].reason


@pytest.mark.parametrize(
    ("changes", "version", "alike"),
    [
        ({"batch_size": 64, "cache": "off"}, "1.0", True),
        ({}, "1.1", False),
        ({"precision": "bfloat16"}, "1.0", False),
        ({"execution": "eager"}, "1.0", False),
        ({"deploy": "exported"}, "1.0", False),
        ({"quantize": "ptq"}, "1.0", False),
    ],
)
def test_a_spread_is_that_of_cases_of_one_kind(changes, version, alike):
    case = Case("simulated", "simulated", **changes)
    kinds = kind_of_case(CASE, {"simulated": "1.0"}), kind_of_case(case, {"simulated": version})

    assert (kinds[0] == kinds[1]) == alike


def test_spreads_of_other_conditions_are_not_known_and_the_latest_of_the_same_are(tmp_path: Path):
    seen = [SeenSpread("inference", ("a", "b"), 0.01 * n, 4) for n in range(1, 31)]
    levels = [SeenLevel("inference", "a", 0.1, 0.02)]
    for one in seen:
        NoiseStore(tmp_path, workload={"epochs": 1}).keep([one], levels)

    assert NoiseStore(tmp_path, workload={"epochs": 1}).spreads() == seen[-KEPT:]
    assert NoiseStore(tmp_path, workload={"epochs": 1}).levels() == KEPT * levels
    assert NoiseStore(tmp_path, workload={"epochs": 2}).spreads() == []


def test_what_older_versions_kept_of_a_a_comparisons_is_known(tmp_path: Path):
    store = NoiseStore(tmp_path, workload={})
    axes = {name: getattr(CASE, name) for name in AXES_OF_KIND}
    older = {"stage": "training", "framework": "simulated", "version": {"simulated": "1.0"}, **axes}
    older |= {"machine": store.machine, "workload": {}, "case": CASE.id, "log_ratios": [0.03, -0.04]}
    (tmp_path / "noise.json").write_text(json.dumps([older]))

    kind = kind_of_case(CASE, {"simulated": "1.0"})
    (seen,) = store.spreads()
    assert (seen.stage, seen.kinds, seen.freedom) == ("training", (kind, kind), 2)
    assert seen.spread == pytest.approx(0.05 / 2**0.5)
