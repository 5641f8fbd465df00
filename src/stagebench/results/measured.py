"""What a measurement says of a case beside its times."""

from __future__ import annotations

from statistics import median

import numpy as np
from msgspec import convert

from stagebench.case import Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.machine.info import cpu_name
from stagebench.results.info import Info, Layer, Operation, SpeedConditions
from stagebench.run.peak import peak_seconds
from stagebench.run.sample import Measurement

REPORTED = ("images", "loss", "accuracy", "file_bytes")
OF_DEPLOYED = ("test_accuracy", "float32_accuracy", "agreement", "logit_difference", "integer_layers")
"""What a stage reports of its model under the same name, in its outcome."""
PERCENTILES = {"median": 50, "p95": 95, "p99": 99}


def conditions_of(measurement: Measurement) -> SpeedConditions | None:
    """Return the conditions of a case's first process."""
    return convert(measurement.processes[0].conditions, SpeedConditions | None)


def info_of(stage: str, case: Case, measurement: Measurement, workload: Workload, manifest: Manifest) -> Info:
    """Return all but the noise, which is known when everything is measured."""
    first = measurement.processes[0]
    fresh = [process for process in measurement.processes if process.fresh]
    cold = [process.cold.outcome for process in measurement.processes]
    rounds = [sample.outcome for sample in measurement.rounds]
    last = (first.rounds or [first.cold])[-1].outcome
    typical = median(sample.seconds for sample in measurement.rounds) if rounds else None
    images, limit = last.get("images"), peak_seconds(stage, case, measurement, workload)
    waits = [of["data_wait_fraction"] for of in cold if of.get("data_wait_fraction") is not None]
    transfers = [of["transfer_seconds"] for of in cold if of.get("transfer_seconds") is not None]
    steps = [of["step_seconds"] for of in rounds if "step_seconds" in of]
    calls = [seconds for of in rounds for seconds in of.get("call_seconds", ())]
    return Info(
        framework_version=first.runtime.framework_version,
        device_name=first.runtime.device_name or cpu_name(),
        threads=first.runtime.threads,
        conditions=conditions_of(measurement),
        images_per_second=images / typical if images and typical else None,
        cold_seconds=median(process.cold.seconds for process in fresh),
        cpu_seconds=[sample.cpu_seconds for sample in measurement.rounds],
        idle_seconds=[sample.idle_seconds or 0.0 for sample in measurement.rounds],
        peak_rss_bytes=max(process.peak_rss_bytes for process in fresh),
        peak_gpu_bytes=max(process.peak_gpu_bytes or 0 for process in fresh) or None,
        page_faults=[sample.page_faults for sample in measurement.rounds],
        involuntary_switches=[sample.involuntary_switches for sample in measurement.rounds],
        processes=len(measurement.processes),
        fresh_processes=len(fresh),
        rounds_per_process=[len(process.rounds) for process in measurement.processes],
        interleave=first.interleave,
        stopped_by=measurement.stopped_by,
        limit_seconds=limit,
        limit_fraction=limit / typical if limit and typical else None,
        machine_rates=measurement.rates,
        epoch_losses=cold[0].get("losses"),
        epoch_accuracies=cold[0].get("accuracies"),
        layers=convert(last.get("layers"), list[Layer] | None),
        data_wait_fraction=median(waits) if waits else None,
        transfer_seconds=median(transfers) if transfers else None,
        step_seconds={name: median(step[name] for step in steps) for name in steps[0]} if steps else None,
        call_seconds=calls or None,
        latency={name: float(np.percentile(calls, at)) for name, at in PERCENTILES.items()}
        if calls
        else None,
        profile=convert(first.profile, list[Operation] | None),
        trace=first.trace,
        workload=plain(workload),
        dataset_fingerprint=manifest.fingerprint,
        skipped_images=len(manifest.left_out),
        float32_training_seconds=last.get("float32_training_seconds"),
        **{name: last.get(name) for name in (*REPORTED, *OF_DEPLOYED)},
    )
