"""The cover of the suite: its data set and its workload. All else is in `stagebench.plugin`."""

from __future__ import annotations

import pytest

from stagebench.case import Workload
from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.names import listed
from stagebench.datasets.sources import prepare
from stagebench.plugin.exit import exit_if_impossible
from stagebench.plugin.progress import Progress
from stagebench.plugin.session_options import SETTINGS

pytest_plugins = ["stagebench.plugin", "pytester"]


@pytest.fixture(scope="session")
def manifest(pytestconfig: pytest.Config, progress: Progress) -> Manifest:
    """The data set of the session, prepared before anything is timed."""
    request = pytestconfig.stash[SETTINGS].dataset_request
    with exit_if_impossible():
        found = prepare(request, default_cache_folder(), progress.count)
    if found.left_out:
        progress.finish(f"left out: {listed(found.left_out, 'files')}")
    return found


@pytest.fixture(scope="session")
def workload(pytestconfig: pytest.Config, manifest: Manifest) -> Workload:
    return pytestconfig.stash[SETTINGS].workload(manifest)
