"""How much memory a group takes, estimated before it is measured, and how much there is."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

import psutil
from PIL import Image as PillowImage

from stagebench.case import Case, Stage, Workload
from stagebench.dataset import Manifest
from stagebench.pipelines import FRAMEWORKS

PROCESS_BYTES = 600 * 2**20
"""What a worker process takes without any image (measured with torch 2.15 and TensorFlow 2.21)."""
BATCHES_IN_FLIGHT = 3
"""Batches of a loader process in shared memory: two that wait, and one that is being made."""
FEWER = "--cache=off, --recipes=tuned, a smaller --input-size, fewer images, or fewer cases at once"
"""What takes less memory."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # only its size is looked at
_CGROUP = Path("/sys/fs/cgroup")
_SPLITS: dict[Stage, tuple[str, ...]] = {
    "data_loading": ("train",),
    "training": ("train",),
    "evaluation": ("train", "test"),
}
"""Splits that a stage goes through; the others take no image."""


def shortage(
    groups: Iterable[tuple[Stage, Sequence[Case]]], workload: Workload, manifest: Manifest
) -> str | None:
    """Say which group takes more memory than there is, with the figures, or return None."""
    image_bytes = 3 * workload.input_size**2 * 4  # float32
    for stage, cases in groups:
        images = sum(len(manifest.images(split)) for split in _SPLITS.get(stage, ()))
        real = [case for case in cases if images and FRAMEWORKS[case.framework].imports]
        kept = {case: image_bytes * images * _copies(case) for case in real}
        # Of rivals each has a process, and all of them are there at the same time.
        shared = sum(_shared(case, kept[case], image_bytes, manifest) for case in real)
        found = (
            _lack("memory", sum(kept.values()) + PROCESS_BYTES * len(real), available_bytes(), FEWER)
            or _lack("memory in one process", max(kept.values(), default=0), _process_bytes(), FEWER)
            or _lack(f"shared memory ({SHARED_MEMORY})", shared, _shm(), "--workers=0, --cache=off")
        )
        if found:
            size = workload.input_size
            return f"{stage} of {images:,} images of {size}x{size} in {len(real)} processes at once {found}"
    return None


def _copies(case: Case) -> int:
    """Return how often a case keeps every prepared image."""
    shuffled = FRAMEWORKS[case.framework].shuffles_images and case.recipe != "tuned"
    return (case.cache == "on") + shuffled


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
    return f"takes about {needed / 2**20:,.0f} MiB of {what}, {there:,} MiB are available; instead: {instead}"


def available_bytes() -> int:
    """Return how much memory processes may still take, in this container too."""
    there = int(psutil.virtual_memory().available)
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            allowed, taken = int((_CGROUP / limit).read_text()), int((_CGROUP / used).read_text())
            fields = dict(line.split() for line in (_CGROUP / stat).read_text().splitlines())
        except (OSError, ValueError):  # not there, or "max"
            continue
        files = int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))  # can be given back
        there = min(there, allowed - taken + files)
    return there


def _process_bytes() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _shm() -> int | None:
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
