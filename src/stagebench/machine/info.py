"""What machine this is, read without importing a framework. The same machine reads the same twice."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cpuinfo
import psutil

from stagebench.datasets.processors import usable_threads
from stagebench.frameworks import FRAMEWORKS, THREAD_VARIABLES
from stagebench.machine.conditions import cpu_quota, speed_variables

LIBRARIES = ("numpy", "pillow", "simplejpeg", "execnet", "pytest", "pytest-benchmark", "stagebench")


def machine_info() -> dict[str, Any]:
    """Describe the machine for pytest-benchmark's JSON. It holds nothing momentary, such as a clock rate."""
    variables = speed_variables(os.environ)
    return {
        "node": platform.node(),
        "machine": platform.machine(),
        "system": platform.system(),
        "release": platform.release(),
        "python_implementation": platform.python_implementation(),
        "python_version": platform.python_version(),
        "cpu": {
            "brand_raw": cpu_name(),
            "cores": psutil.cpu_count(logical=False),
            "threads": psutil.cpu_count(),
            "usable_threads": usable_threads(),
        },
        "memory_bytes": round(psutil.virtual_memory().total / 2**27) * 2**27,  # kernels differ by some KB
        "gpus": list(gpu_names()),
        "frameworks": {name: f.versions() for name, f in FRAMEWORKS.items() if f.imports and not f.missing()},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "cpu_quota": cpu_quota(),
        "thread_variables": {name: value for name, value in variables.items() if name in THREAD_VARIABLES},
        "speed_variables": {name: value for name, value in variables.items() if name not in THREAD_VARIABLES},
    }


@cache
def _cpu_info() -> dict[str, Any]:
    info: dict[str, Any] = cpuinfo.get_cpu_info()
    return info


def has_avx512() -> bool:
    """Say whether the processor multiplies sixteen float32 numbers at once."""
    return "avx512f" in _cpu_info().get("flags", [])


def cpu_name() -> str:
    """Model name of the processor."""
    info = _cpu_info()
    return str(info.get("brand_raw") or info.get("arch_string_raw") or platform.processor())


@cache
def gpu_names() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that the driver knows."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    listing = subprocess.run(  # noqa: S603
        [command, "--query-gpu=name", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return tuple(listing.stdout.splitlines()) if listing.returncode == 0 else ()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
