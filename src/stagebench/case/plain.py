"""Frozen dataclasses as dicts, for the wire and for files, between two versions of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as a dict of its fields."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def from_plain(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return the dataclass whose fields stand in a dict. Other keys, of a newer version, are passed over.

    Raises:
        TypeError: a field without a default is missing.

    """
    return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})  # type: ignore[arg-type]
