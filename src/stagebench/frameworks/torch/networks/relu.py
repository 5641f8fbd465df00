"""ReLU as each recipe writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RELU: Mapping[str, Mapping[str, Any]] = {"published": {}, "matched": {}, "tuned": {"inplace": True}}
"""What `nn.ReLU` is told."""
