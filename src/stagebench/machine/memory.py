"""How much memory a group takes, estimated before it is measured, and how much there is."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Literal

import psutil
from PIL import Image as PillowImage

from stagebench.case import Case, Workload
from stagebench.datasets.manifest import Manifest
from stagebench.frameworks import FRAMEWORKS
from stagebench.stages.evaluation import Evaluation
from stagebench.stages.stage import Stage

PROCESS_BYTES = 600 * 2**20
"""What a worker process takes without any image (measured with torch 2.15 and TensorFlow 2.21)."""
BATCHES_IN_FLIGHT = 3
"""Batches of a loader process in shared memory: two that wait, and one that is being made."""
FEWER = "--cache=off, --recipes=tuned, a smaller --input-size, fewer images, or fewer cases at once"
"""What takes less memory."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # only its size is looked at
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def shortage(
    stage: type[Stage],
    cases: Sequence[Case],
    workload: Workload,
    manifest: Manifest,
    moment: Literal["ever", "now"] = "ever",
) -> str | None:
    """Say what of memory a group lacks on this machine, `ever` or as much as is free `now`; or return None.

    Each case has a process, and all of them are there at the same time.
    """
    reads_images = not {"loads_data", "deploys"}.isdisjoint(stage.traits)
    real = [case for case in cases if reads_images and FRAMEWORKS[case.framework].imports]
    image_bytes = 3 * workload.input_size**2 * 4  # float32
    kept = {case: int(image_bytes * _images_kept(case.complete, stage, manifest)) for case in real}
    shared = sum(_shared(case, kept[case], image_bytes, manifest) for case in real)
    found = (
        _lack("memory", sum(kept.values()) + PROCESS_BYTES * len(real), memory_bytes(moment), FEWER)
        or _lack("memory in one process", max(kept.values(), default=0), _process_bytes(), FEWER)
        or _lack(f"shared memory ({SHARED_MEMORY})", shared, _shm(), "--workers=0, --cache=off")
    )
    if not found:
        return None
    images, size = len(manifest.train), workload.input_size
    return f"{stage.name} of {images:,} images of {size}x{size} in {len(real)} processes at once {found}"


def _images_kept(case: Case, stage: type[Stage], manifest: Manifest) -> float:
    """Return how many prepared images a case's process holds at most."""
    if case.deploy and case.quantize != "qat":  # the only one that goes through the training split
        return 2 * len(manifest.test)
    of_test = 2 * len(manifest.test) if stage is Evaluation and case.cache == "on" else 0
    copies = FRAMEWORKS[case.framework].shuffled_copies
    if copies and case.recipe != "tuned":
        return copies[case.cache, case.augment] * len(manifest.train) + of_test
    return (len(manifest.train) if case.cache == "on" else 0) + of_test


def _shared(case: Case, kept: int, image_bytes: int, manifest: Manifest) -> int:
    """Return what a case's loader processes share with it."""
    if not isinstance(case.workers, int) or not case.workers:
        return 0
    if case.recipe == "tuned":  # they hand on pictures before these are resized
        kept, image_bytes = 0, max(image_bytes, _picture_bytes(manifest))
    batch = min(case.batch_size, len(manifest.train)) * image_bytes
    return case.workers * BATCHES_IN_FLIGHT * batch + kept


def _picture_bytes(manifest: Manifest) -> int:
    """Return what the first picture takes when it is decoded; others may be larger."""
    try:
        with PillowImage.open(manifest.paths("train")[0]) as picture:
            return 3 * prod(picture.size)
    except OSError:  # it is gone by now, which others say
        return 0


def _lack(what: str, needed: int, there: int | None, instead: str) -> str | None:
    if there is None or needed <= there:
        return None
    there = max(0, there) // 2**20
    return f"takes about {needed / 2**20:,.0f} MiB of {what}, {there:,} MiB are there; instead: {instead}"


def memory_bytes(moment: Literal["ever", "now"]) -> int:
    """Return how much memory this machine or container has, or still has now."""
    machine = psutil.virtual_memory()
    there = int(machine.total if moment == "ever" else machine.available)
    for limit, used, stat in _CGROUP_FILES:
        try:
            allowed, taken = int((_CGROUP / limit).read_text()), int((_CGROUP / used).read_text())
            fields = dict(line.split() for line in (_CGROUP / stat).read_text().splitlines())
        except (OSError, ValueError):  # not there, or "max"
            continue
        cached = sum(int(fields.get(name, 0)) for name in ("inactive_file", "active_file"))  # is given back
        there = min(there, allowed if moment == "ever" else allowed - taken + cached)
    return there


def _process_bytes() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _shm() -> int | None:
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
