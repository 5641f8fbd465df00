"""Where time is taken: in the worker process, around a stage alone."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from time import perf_counter

from stagebench.run.sample import Sample
from stagebench.stages.stage import Stage

REST_SECONDS = 1.0
"""How long a worker process may take to come to rest after a round."""


def timed(stage: Stage, synchronize: Callable[[], None]) -> Sample:
    """Execute a stage once: device synchronised at both ends, garbage collection off."""
    stage.prepare()
    gc.collect()
    gc.disable()
    try:
        synchronize()
        before, loaders_before = _usage()
        start = perf_counter()
        result = stage.run()
        synchronize()
        seconds = perf_counter() - start
        after, loaders_after = _usage()
    finally:
        gc.enable()
    sample = Sample(
        seconds=seconds,
        cpu_seconds=_cpu_seconds(after, loaders_after) - _cpu_seconds(before, loaders_before),
        page_faults=after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt,
        involuntary_switches=after.ru_nivcsw - before.ru_nivcsw,
        outcome=stage.outcome(result),
        began=start,
    )
    come_to_rest()
    return sample


def _usage() -> tuple[resource.struct_rusage, resource.struct_rusage]:
    """What this process and its finished child processes have used so far."""
    return resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)


def _cpu_seconds(*usages: resource.struct_rusage) -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def come_to_rest() -> None:
    """Return once no thread of this process computes any more, so that the next case is undisturbed.

    OpenMP's threads go on spinning after the last operation (measured with torch: up to 10 ms).
    """
    deadline = perf_counter() + REST_SECONDS
    while perf_counter() < deadline:
        before = time.process_time()
        time.sleep(0.005)
        if time.process_time() - before < 0.0005:
            return
