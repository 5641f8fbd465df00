"""The networks: one file each, with shapes, operations and canonical weights."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from stagebench.networks.network import Network

__all__ = ["DEFAULT", "NETWORKS", "Network"]

_modules = [import_module(f"{__name__}.{file.name}") for file in iter_modules(__path__)]
NETWORKS: dict[str, Network] = {
    module.NETWORK.name: module.NETWORK for module in _modules if hasattr(module, "NETWORK")
}
"""Every network by name: the `NETWORK` of each file in this folder that has one."""
DEFAULT = "article"
