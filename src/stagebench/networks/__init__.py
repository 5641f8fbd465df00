"""The networks: one file each, with shapes, operations and canonical weights."""

from __future__ import annotations

from typing import Any

from stagebench.networks import article

NETWORKS: dict[str, Any] = {"article": article.NETWORK}
