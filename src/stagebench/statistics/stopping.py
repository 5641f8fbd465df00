"""When a group has been measured in enough processes: it is looked at a few times, and never in between."""

from __future__ import annotations

LOOKS = (3, 5, 8, 12, 20)
"""Processes of each case after which verdicts are asked for. To look after every process raises half as many
false alarms again: who looks often enough sees everything once."""


def next_look(processes: int) -> int | None:
    """Return how many processes a group that is undecided after so many goes on to; None: it ends."""
    return next((look for look in LOOKS if look > processes), None)
