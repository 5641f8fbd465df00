"""What a machine could do at best, and what a stage takes of it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from stagebench.case import Case, Workload
from stagebench.datasets.processors import usable_threads
from stagebench.frameworks.contract import RuntimeInfo
from stagebench.machine.peak_rates import RESOURCES
from stagebench.networks.article import NETWORK
from stagebench.run.peak import PeakRates, peak_seconds
from stagebench.run.pool import WorkerPool
from stagebench.run.process import Patience, WorkerProcess
from stagebench.run.sample import Measurement, ProcessRecord, Sample
from stagebench.stages import PIPELINE, STAGES
from stagebench.stages.model_building import ModelBuilding
from stagebench.stages.stage import Stage

CASE = Case("torch", "torch")
WORKLOAD = Workload(classes=100)
OUTCOME = {"images": 1000, "file_bytes": 5_000_000}
RATES = {"operations": 1e11, "copied_bytes": 1e10, "jpegs": 1e4, "written_bytes": 1e9, "read_bytes": 2e9}


def measurement(rates):
    sample = Sample(1.0, 1.0, 0, 0, OUTCOME)
    return Measurement([ProcessRecord(RuntimeInfo("1.0", "", 2), sample, [sample], 1, None)], rates=rates)


def test_operations_of_the_network_are_those_of_its_layers():
    # height and width, channels in and out of each convolution, then the dense layers
    convolutions = ((32, 3, 32), (16, 32, 64), (8, 64, 128), (4, 128, 128))
    multiply_adds = [size**2 * 9 * wide * out for size, wide, out in convolutions] + [128 * 128, 128 * 100]

    assert NETWORK.forward_operations(100, 32) == 2 * sum(multiply_adds) == 25_420_800
    # backward: the gradients of kernels and of inputs, but not that of the image
    assert NETWORK.training_operations(100, 32) == 2 * (3 * sum(multiply_adds) - multiply_adds[0])


@pytest.mark.parametrize(
    ("stage", "cache", "seconds"),
    [
        ("data_loading", "off", 1000 / 1e4),
        ("data_loading", "on", 1000 * 2 * 32 * 32 * 3 * 4 / 1e10),
        ("model_building", "on", 4 * (271_652 + 2 * 270_948) / 1e10),
        ("training", "off", 1000 / 1e4 + 1000 * 74_492_928 / 1e11),
        ("training", "on", 1000 * 74_492_928 / 1e11),
        ("model_saving", "on", 5e6 / 1e9),
        ("model_loading", "on", 5e6 / 2e9),
        ("evaluation", "off", 1000 / 1e4 + 1000 * 25_420_800 / 1e11),
        ("evaluation", "on", 1000 * 25_420_800 / 1e11),
    ],
)
def test_a_stages_peak_is_its_least_work_at_the_machines_rates(stage, cache, seconds):
    peak = peak_seconds(stage, replace(CASE, cache=cache), measurement(RATES), WORKLOAD)

    assert peak == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize("stage", PIPELINE)
def test_on_a_gpu_only_files_have_a_peak(stage):
    peak = peak_seconds(stage, replace(CASE, device="cuda"), measurement(RATES), WORKLOAD)

    assert (peak is not None) == (stage in ("model_saving", "model_loading"))


def test_where_no_rate_was_measured_there_is_no_peak():
    assert peak_seconds("training", CASE, measurement({}), WORKLOAD) is None


class Unruled(ModelBuilding):
    """A stage that says nothing of its least work."""

    name = "unruled"
    least_work = Stage.least_work


def test_a_stage_without_a_rule_has_no_peak(monkeypatch):
    monkeypatch.setitem(STAGES, "unruled", Unruled)

    assert peak_seconds("unruled", CASE, measurement(RATES), WORKLOAD) is None


def test_rates_are_measured_without_a_framework(tmp_path, small_dataset):
    with WorkerProcess("peak", tmp_path) as process:
        rates = process.request(
            "rates",
            resources=list(RESOURCES),
            files=small_dataset.paths("train")[:8],
            folder=str(tmp_path),
            file_bytes=100_000,
            threads=usable_threads(),
        )

    assert rates.keys() == RESOURCES.keys()
    assert all(np.isfinite(rate) and rate > 0 for rate in rates.values()), rates
    # More than an abacus, less than a data centre: each is a rate, and not its inverse.
    assert 1e8 < rates["operations"] < 1e15
    assert 1e8 < rates["copied_bytes"] < 1e13
    assert 1e2 < rates["jpegs"] < 1e7


def test_files_whose_names_are_not_utf_8_are_decoded(small_dataset, tmp_path):
    name = str(tmp_path / b"\xff.jpg".decode(errors="surrogateescape"))
    shutil.copy(small_dataset.paths("train")[0], name)
    with WorkerPool() as pool:
        peak = PeakRates(WORKLOAD, [name], None, pool)
        peak.measure("data_loading", {replace(CASE, cache="off"): OUTCOME})

    assert peak.rates["jpegs"] > 0


def test_a_peak_rate_that_cannot_be_measured_is_a_warning_and_fails_nothing():
    with WorkerPool() as pool:
        peak = PeakRates(WORKLOAD, ["missing.jpg"], None, pool)
        with pytest.warns(UserWarning, match="data_loading: no % of peak: .*"):
            peak.measure("data_loading", {replace(CASE, cache="off"): OUTCOME})
        peak.measure("data_loading", {replace(CASE, cache="off"): OUTCOME})  # and is not tried again

    assert peak.rates == {}


def test_a_file_that_cannot_be_decoded_leaves_no_process_waiting(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with WorkerProcess("peak", tmp_path) as process:
        process.send(
            "rates",
            resources=["jpegs"],
            files=[str(tmp_path / "broken.jpg")],
            folder=str(tmp_path),
            file_bytes=1,
            threads=1,
        )
        with pytest.raises(Exception, match="the pipeline raised an error"):
            process.receive(Patience(60, "measuring"))
