"""What changes the speed of a process beside what it computes. A worker process imports this."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import FRAMEWORKS, THREAD_VARIABLES

SPEED_VARIABLES = (
    # the C library's malloc, and what stands in for it
    *("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES"),
    *("MALLOC_*", "_RJEM_MALLOC_CONF", "TCMALLOC_*", "MIMALLOC_*"),
    # threads and instructions of the libraries under the frameworks
    *("OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "NPY_DISABLE_CPU_FEATURES"),
    *("ONEDNN_*", "DNNL_*"),
    # CUDA
    *("CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_DEVICE_MAX_CONNECTIONS"),
    *("NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
    # Python, and coverage, which starts in every process where it finds these
    *("PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONDEVMODE", "PYTHONOPTIMIZE", "PYTHON_GIL", "PYTHON_JIT"),
    *("PYTHONPERFSUPPORT", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"),
    *THREAD_VARIABLES,
    *(name for framework in FRAMEWORKS.values() for name in framework.speed_variables),
)
"""Environment variables that change speed, as shells match names."""


@dataclass(frozen=True)
class SpeedConditions:
    """What changes the speed of a process; `results.info` has it as it is saved."""

    variables: Mapping[str, str]
    """Of `SPEED_VARIABLES`, those that are set."""
    cpu_quota: float | None
    """Processors' worth of time that its control groups allow; None: no limit."""
    processors: int
    """How many it may run on."""
    tracers: Sequence[str]
    """What watches it at each step: coverage, a debugger, a profiler."""


def speed_conditions(environment: Mapping[str, str]) -> SpeedConditions:
    """Return the conditions of this process, which was started with these environment variables."""
    return SpeedConditions(speed_variables(environment), cpu_quota(), usable_threads(), tracers())


def speed_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change speed. An empty one counts as unset."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if value and any(fnmatchcase(name, pattern) for pattern in SPEED_VARIABLES)
    }


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many processors' worth of time this process may take; None: there is no limit.

    The least of its control group's and of those above it, in version 1 or 2. In a container the group's
    path may be the host's, which is not seen there: then what is mounted is the container's own group.
    """
    quotas = []
    for top, path in _control_groups(root):
        folder = top / path.lstrip("/")
        above = (one for one in (folder, *folder.parents) if one.is_relative_to(top))
        quotas += [quota for one in above if (quota := _quota(one))]
    return min(quotas, default=None)


def _control_groups(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield where groups that may limit CPU time are mounted, and the path of this process's from there."""
    mounts = root / "sys/fs/cgroup"
    with suppress(OSError, ValueError):  # no Linux, or /proc is hidden
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:  # version 2
                yield from ((mounts, path), (mounts / "unified", path))
            elif "cpu" in controllers.split(","):
                yield from ((mounts / controllers, path), (mounts / "cpu", path))


def _quota(group: Path) -> float | None:
    with suppress(OSError, ValueError):  # the file of the other version; "max"
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):
        limit = int((group / "cpu.cfs_quota_us").read_text())  # -1: none
        return max(0, limit) / int((group / "cpu.cfs_period_us").read_text()) or None
    return None


def tracers(status: Path = Path("/proc/self/status")) -> list[str]:
    """Return what traces, profiles or debugs this process, by its package or program."""
    hooks = [hook for hook in (sys.gettrace(), sys.getprofile()) if hook]
    found = [str(getattr(hook, "__module__", None) or type(hook).__module__) for hook in hooks]
    monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on
    if monitoring:
        found += [tool for number in range(6) if (tool := monitoring.get_tool(number))]
    with suppress(OSError):
        pids = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("TracerPid:")]
        found += [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids if pid != "0"]
    return list(dict.fromkeys(name.partition(".")[0] for name in found))
