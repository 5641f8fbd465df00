"""Values on their way between a worker process and the pytest process: plain data, as execnet carries it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

_ARRAY = "__ndarray__"


def encode(value: Any) -> Any:
    """Turn arrays, dataclasses, paths and iterators into dicts, lists, strings and bytes."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: (value.dtype.str, value.shape, value.tobytes())}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(encode(item) for item in value)
    if isinstance(value, Iterator):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Turn what `encode` made of an array into an array again."""
    if isinstance(value, dict):
        if _ARRAY in value:
            dtype, shape, data = value[_ARRAY]
            return np.frombuffer(data, dtype).reshape(shape)
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(decode(item) for item in value)
    return value
