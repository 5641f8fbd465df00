"""What the saved JSON says of a case beside its times. Keys are added here, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from stagebench.case import Case, Workload, plain
from stagebench.datasets.manifest import Manifest
from stagebench.machine.info import cpu_name
from stagebench.run.peak import peak_seconds
from stagebench.run.sample import Measurement


def extra_info(
    stage: str, case: Case, measurement: Measurement, workload: Workload, manifest: Manifest
) -> dict[str, Any]:
    """Return the contract's keys; figures that do not apply to the stage are None."""
    first = measurement.processes[0]
    seconds = [sample.seconds for sample in measurement.rounds]
    outcome = (first.rounds or [first.cold])[-1].outcome
    images = outcome.get("images")
    limit = peak_seconds(stage, case, measurement, workload)
    return {
        "stage": stage,
        **plain(case),
        "framework_version": first.runtime.framework_version,
        "device_name": first.runtime.device_name or cpu_name(),
        "threads": first.runtime.threads,
        "images": images,
        "images_per_second": images / median(seconds) if images and seconds else None,
        "cold_seconds": median(process.cold.seconds for process in measurement.processes),
        "cpu_seconds": [sample.cpu_seconds for sample in measurement.rounds],
        "peak_rss_bytes": max(process.peak_rss_bytes for process in measurement.processes),
        "peak_gpu_bytes": max(p.peak_gpu_bytes or 0 for p in measurement.processes) or None,
        "page_faults": [sample.page_faults for sample in measurement.rounds],
        "involuntary_switches": [sample.involuntary_switches for sample in measurement.rounds],
        "processes": len(measurement.processes),
        "rounds_per_process": [len(process.rounds) for process in measurement.processes],
        "stopped_by": measurement.stopped_by,
        "limit_seconds": limit,
        "limit_fraction": limit / median(seconds) if limit and seconds else None,
        "machine_rates": measurement.rates,
        "loss": outcome.get("loss"),
        "accuracy": outcome.get("accuracy"),
        "epoch_losses": first.cold.outcome.get("losses"),
        "epoch_accuracies": first.cold.outcome.get("accuracies"),
        "layers": outcome.get("layers"),
        "data_wait_fraction": _data_wait_fraction(measurement),
        "file_bytes": outcome.get("file_bytes"),
        **_deployed(measurement, outcome),
        "profile": first.profile,
        "trace": first.trace,
        "workload": plain(workload),
        "dataset_fingerprint": manifest.fingerprint,
        "skipped_images": len(manifest.left_out),
    }


def _deployed(measurement: Measurement, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a deployed model; nothing but None of other stages."""
    names = ("test_accuracy", "float32_accuracy", "agreement", "logit_difference", "integer_layers")
    outcomes = [sample.outcome for sample in measurement.rounds]
    calls = [seconds for outcome in outcomes for seconds in outcome.get("call_seconds", ())]
    steps = [outcome["step_seconds"] for outcome in outcomes if "step_seconds" in outcome]
    return {
        **{name: outcome.get(name) for name in names},
        "step_seconds": {name: median(step[name] for step in steps) for name in steps[0]} if steps else None,
        "float32_training_seconds": outcome.get("float32_training_seconds"),
        "call_seconds": calls or None,
        "latency": dict(
            zip(("median", "p95", "p99"), np.percentile(calls, (50, 95, 99)).tolist(), strict=True)
        )
        if calls
        else None,
    }


def _data_wait_fraction(measurement: Measurement) -> float | None:
    """Return the median over the processes, each of which has watched one epoch."""
    watched = [process.cold.outcome.get("data_wait_fraction") for process in measurement.processes]
    known = [fraction for fraction in watched if fraction is not None]
    return median(known) if known else None
