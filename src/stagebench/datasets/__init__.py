"""The data set: a tree of JPEG files in class folders, and the manifest that both frameworks read."""

from stagebench.datasets.cache import default_cache_folder
from stagebench.datasets.errors import DatasetError
from stagebench.datasets.manifest import Manifest
from stagebench.datasets.request import DatasetRequest
from stagebench.datasets.sources import prepare

__all__ = ["DatasetError", "DatasetRequest", "Manifest", "default_cache_folder", "prepare"]
