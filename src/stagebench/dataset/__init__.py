"""The data set: a tree of JPEG files in class folders, and the manifest that both frameworks read."""

from stagebench.dataset.cache import default_cache_folder
from stagebench.dataset.errors import DatasetError
from stagebench.dataset.manifest import Manifest
from stagebench.dataset.request import DatasetRequest
from stagebench.dataset.sources import prepare

__all__ = ["DatasetError", "DatasetRequest", "Manifest", "default_cache_folder", "prepare"]
