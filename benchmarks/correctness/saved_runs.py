"""Runs as `pytest benchmarks` saves them, made up: reports are tested on them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stagebench.case import Case, plain
from stagebench.stages import DEPLOYMENT, PIPELINE, STAGES

COST = dict(zip(PIPELINE, (0.05, 0.003, 1.5, 0.005, 0.012, 0.17), strict=True))
"""Typical seconds of each stage."""
FASTER = {"torch": 1.0, "tensorflow": 0.8}
IMAGES = {"data_loading": 2000, "training": 4000, "evaluation": 400}
HOSTILE = (
    """<script>hit=1</script>"'</script><!-- <img src=x onerror=hit=1> {{7*7}} ${hit=1} \N{PILE OF POO}"""
)
"""What a browser must show as it is."""
LAYERS = [("conv", (32, 32, 32), 896), ("relu", (32, 32, 32), 0), ("dense", (100,), 12_900)]


def matrix(batch_sizes=(16, 32, 64), workers=(0, 2), cache=("off", "on"), recipes=("matched",)) -> list[Case]:
    """Return cases of both frameworks on the CPU; tensorflow's are not multiplied by workers."""
    found = {}
    for batch, number, kept, recipe in product(batch_sizes, workers, cache, recipes):
        for framework, count in (("torch", number), ("tensorflow", "auto")):
            found[Case(framework, framework, batch_size=batch, workers=count, cache=kept, recipe=recipe)] = (
                None
            )
    return list(found)


def saved_run(
    cases: Sequence[Case], stages=PIPELINE, processes=3, rounds=5, seed=0, noise=0.03, **info: Any
) -> dict[str, Any]:
    """Return the content of a saved run."""
    generator = np.random.default_rng(seed)
    benchmarks = []
    each = dict.fromkeys((stage, case.at(STAGES[stage].traits)) for stage, case in product(stages, cases))
    for stage, case in each:
        speed = COST[stage] * FASTER.get(case.framework, 1.0) * (32 / (case.batch_size or 32)) ** 0.2
        medians = speed * np.exp(generator.normal(0, noise, processes))
        seconds = medians[:, None] * np.exp(generator.normal(0, noise, (processes, rounds)))
        benchmarks.append(_benchmark(stage, case, seconds, info))
    record = {"schema": 1, "command": ["benchmarks"], "pictures": pictures(cases), "not_measured": []}
    machine = {
        "cpu": {"brand_raw": "A CPU", "cores": 2, "threads": 2, "usable_threads": 2},
        "memory_bytes": 24 * 2**30,
    }
    machine |= {"gpus": [], "system": "Linux", "release": "6", "python_version": "3.11.7", "libraries": {}}
    when = "2026-11-21T12:00:00+00:00"
    return {"machine_info": machine, "datetime": when, "benchmarks": benchmarks, "stagebench": record}


def _benchmark(stage, case, seconds, changes) -> dict[str, Any]:
    training = stage == "training"
    info = {
        "stage": stage,
        **plain(case),
        "framework_version": "1.0",
        "device_name": "A CPU",
        "threads": 2,
        "images": IMAGES.get(stage),
        "cold_seconds": float(2 * np.median(seconds)),
        "peak_rss_bytes": 700 * 2**20,
        "processes": len(seconds),
        "rounds_per_process": [len(process) for process in seconds],
        "limit_seconds": float(0.2 * np.median(seconds)),
        "loss": 2.5 if training else None,
        "accuracy": 0.25 if training else None,
        "epoch_losses": [4.0, 3.0, 2.5] if training else None,
        "epoch_accuracies": [0.1, 0.2, 0.25] if training else None,
        "layers": [dict(zip(("kind", "output_shape", "parameters"), layer, strict=True)) for layer in LAYERS]
        if stage == "model_building"
        else None,
        "data_wait_fraction": 0.2 if training else None,
        "workload": {"classes": 100, "input_size": 32, "epochs": 2, "learning_rate": 0.001, "seed": 25},
        "dataset_fingerprint": "0123456789abcdef",
        "noise_log_ratios": [0.01, -0.02, 0.015, -0.01, 0.02],
        "noise_missing": None,
        **changes,
    }
    return {"stats": {"data": seconds.ravel().tolist()}, "extra_info": info}


def pictures(cases: Sequence[Case]) -> list[dict[str, str]]:
    """Return two pictures for each framework's recipe."""
    sides = dict.fromkeys((case.environment, case.framework, case.recipe) for case in cases)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 256, 3), np.uint8)
    png = {"prepared": _png(pixels), "flipped": _png(pixels[:, ::-1])}
    return [{**dict(zip(("environment", "framework", "recipe"), side, strict=True)), **png} for side in sides]


def _png(pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def hostile(case: Case, text: str) -> Case:
    """Return the case under a name that some stranger gave to its environment."""
    return replace(case, environment=text)


def nightly(runs: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Save runs as those of one night after another; returns their paths."""
    paths = []
    for night, run in enumerate(runs):
        run["datetime"] = (datetime(2026, 9, 1, 2, tzinfo=UTC) + timedelta(days=night)).isoformat()
        paths.append(folder / f"{night:04d}.json")
        paths[-1].write_text(json.dumps(run))
    return paths


def slower(run: dict[str, Any], stage: str, framework: str, ratio: float) -> dict[str, Any]:
    """Return the run with a framework's times of a stage multiplied."""
    for benchmark in run["benchmarks"]:
        if (benchmark["extra_info"]["stage"], benchmark["extra_info"]["framework"]) == (stage, framework):
            benchmark["stats"]["data"] = [ratio * seconds for seconds in benchmark["stats"]["data"]]
    return run


DEPLOYED = {
    ("torch", "eager", "none"): (0.57, 4.8, 1.09, 0.839),
    ("torch", "torchscript", "none"): (0.57, 10.6, 1.12, 0.839),
    ("torch", "export", "none"): (1.28, 13.1, 1.17, 0.839),
    ("torch", "compile", "none"): (0.29, 4.4, 1.13, 0.839),
    ("torch", "compile", "ptq"): (0.36, 1.53, 0.42, 0.838),
    ("torch", "onnx", "none"): (0.14, 3.5, 1.1, 0.839),
    ("torch", "onnx", "ptq"): (0.09, 2.4, 0.33, 0.836),
    ("torch", "onnx", "qat"): (0.1, 2.0, 0.33, 0.8415),
    ("tensorflow", "graph", "none"): (1.05, 6.2, 1.16, 0.9135),
    ("tensorflow", "savedmodel", "none"): (1.08, 6.7, 2.33, 0.9135),
    ("tensorflow", "litert", "none"): (0.15, 4.8, 1.09, 0.9135),
    ("tensorflow", "litert", "dynamic"): (0.055, 1.46, 0.287, 0.9125),
    ("tensorflow", "litert", "ptq"): (0.047, 1.32, 0.292, 0.9115),
    ("tensorflow", "litert", "qat"): (0.049, 1.4, 0.287, 0.9165),
    ("tensorflow", "onnx", "none"): (0.14, 3.5, 1.09, 0.9135),
}
"""Milliseconds of a call at batch 1 and at batch 32, megabytes and accuracy of each framework's forms."""
STEP_SECONDS = {
    "dynamic": {"conversion": 0.7},
    "ptq": {"calibration": 1.1, "conversion": 2.0},
    "qat": {"training": 5.2, "conversion": 3.0},
}
OPERATIONS = {
    "torch": ("aten::mkldnn_convolution", "aten::native_batch_norm", "aten::addmm", "aten::clamp_min"),
    "tensorflow": ("_FusedConv2D", "FusedBatchNormV3", "MaxPool", "MatMul"),
}


def deployed_run(
    models=DEPLOYED, batch_sizes=(1, 32), speed=None, processes=3, rounds=5, noise=0.01, **info: Any
) -> dict[str, Any]:
    """Return the content of a saved run of the stages after the pipeline.

    `speed` says for some models how many times as fast they are as usual.
    """
    generator = np.random.default_rng(1)
    benchmarks = []
    for stage, batch, (framework, form, quantize) in product(DEPLOYMENT, batch_sizes, models):
        key = framework, form, quantize
        made = (quantize != "none") if stage == "quantization" else quantize == "none"
        if stage != "inference" and (batch != batch_sizes[-1] or not made or form in ("eager", "graph")):
            continue
        case = Case(framework, framework, batch_size=batch, deploy=form, quantize=quantize)
        case = case.at(STAGES[stage].traits)
        calls = max(10, 100 // batch)
        call = models[key][0 if batch == 1 else 1] / 1e3 / (speed or {}).get(key, 1)
        seconds = call * calls if stage == "inference" else 2.0
        spread = np.exp(generator.normal(0, noise, (processes, rounds)))
        changes = _quality(stage, framework, quantize, models[key], call)
        changes["images"] = calls * batch if stage == "inference" else None
        benchmarks.append(_benchmark(stage, case, seconds * spread, {**changes, **info}))
    return {**saved_run([], stages=()), "benchmarks": benchmarks}


def _quality(stage, framework, quantize, model, call) -> dict[str, Any]:
    _, _, megabytes, accuracy = model
    own = DEPLOYED[framework, "onnx", "none"][3]
    profile = [
        {"name": name, "seconds": 0.02 / at, "calls": 100 * at}
        for at, name in enumerate(OPERATIONS[framework], 1)
    ]
    inference = {
        "latency": {"median": call, "p95": 1.3 * call, "p99": 1.9 * call},
        "call_seconds": [call, 1.3 * call],
        "profile": profile,
        "trace": f"profiles/{stage}/{framework}",
    }
    quantization = {
        "step_seconds": STEP_SECONDS.get(quantize),
        "float32_training_seconds": 2.6 if quantize == "qat" else None,
    }
    return {
        "file_bytes": int(megabytes * 1e6),
        "test_accuracy": accuracy,
        "float32_accuracy": own,
        "agreement": 1.0 if quantize == "none" else 0.9905,
        "logit_difference": 2.4e-5 if quantize == "none" else 0.82,
        "integer_layers": 0 if quantize == "none" else 5,
        "limit_seconds": None,
        **(inference if stage == "inference" else quantization if stage == "quantization" else {}),
    }
