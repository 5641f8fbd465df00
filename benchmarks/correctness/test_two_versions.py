"""Two versions of this package measure against each other: the wire takes what either of them knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagebench.case import Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.machine.noise_store import NoiseStore
from stagebench.run.environments import Environment
from stagebench.run.process import WorkerProcess
from stagebench.run.sample import Failure, Measurement
from stagebench.run.schedule import Conditions, Schedule, measure_group
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
        conditions = Conditions(Workload(100), small_dataset, environments, Schedule(rounds=1))
        return measure_group("training", [CASE, OTHER], conditions, lambda _: None, lambda _: 0.0)

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


NOISE = [0.01, -0.02, 0.03]


@pytest.mark.parametrize(
    ("changes", "versions", "found"),
    [
        ({"batch_size": 64, "cache": "off"}, "1.0", NOISE),
        ({}, "1.1", "noise floor of another version: run once more with --noise"),
        ({"precision": "bfloat16"}, "1.0", "noise floor of another precision: run once more with --noise"),
        ({"execution": "eager"}, "1.0", "noise floor of another execution: run once more with --noise"),
        ({"deploy": "exported"}, "1.0", "noise floor of another deploy: run once more with --noise"),
        ({"quantize": "ptq"}, "1.0", "noise floor of another quantize: run once more with --noise"),
    ],
)
def test_a_noise_floor_is_for_cases_of_one_kind(tmp_path: Path, changes, versions, found):
    store = NoiseStore(tmp_path)
    store.keep("inference", CASE, {"simulated": "1.0"}, NOISE)
    case = Case("simulated", "simulated", **changes)

    assert list(store.log_ratios([("inference", case, {"simulated": versions})])) == [found]
