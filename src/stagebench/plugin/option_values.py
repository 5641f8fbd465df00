"""What options take: each function parses a value, or says what is wrong with it."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stagebench.datasets.files import try_to_write
from stagebench.datasets.processors import usable_threads
from stagebench.statistics.verdict import LEAST_SMALLEST

Parser = Callable[[str], Any]


def one_of(*known: str) -> Parser:
    """Take one of the known words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ArgumentTypeError(f"unknown value {text!r}; known: {', '.join(known)}")
        return text

    return parse


def integer(minimum: int, maximum: int = 10**9) -> Parser:
    """Take a whole number within bounds."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < minimum:
            raise ArgumentTypeError(f"{text!r} is not a whole number of {minimum} or more")
        if number > maximum:
            raise ArgumentTypeError(f"{text!r} is above {maximum}, the largest allowed")
        return number

    return parse


def positive_number(text: str) -> float:
    """Take a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def percentage(text: str) -> float:
    """Take a percentage above 0, such as `2%`, as a share."""
    if not text.endswith("%"):
        raise ArgumentTypeError(f"{text!r} is not a percentage such as 2%")
    return positive_number(text.removesuffix("%")) / 100


def smallest_difference(text: str) -> float:
    """Take the percentage from which on a difference counts, as a share."""
    share = percentage(text)
    if not LEAST_SMALLEST <= share <= 1:
        raise ArgumentTypeError(f"{text!r} is not a percentage from {LEAST_SMALLEST:.1%} to 100%")
    return share


def threads(text: str) -> int:
    """Take a number of threads that this process has processors for."""
    number: int = integer(1)(text)
    if number > usable_threads():
        raise ArgumentTypeError(f"{text!r} is above {usable_threads()}, the processors that may be used here")
    return number


def file_to_write(text: str) -> Path:
    """Take the path of a file that can be written, so that hours of measuring do not end in a refusal."""
    path = Path(text)
    if os.path.isdir(path):  # noqa: PTH112  # `Path.is_dir` raises where a name is too long
        raise ArgumentTypeError(f"{text!r} is a folder; give the path of a file in it")
    try:
        try_to_write(path)
    except OSError as error:
        raise ArgumentTypeError(f"{text!r} cannot be written: {error.strerror}") from None
    return path


def folder_to_write(text: str) -> Path:
    """Take the path of a folder in which files can be written, and make it if it is not there."""
    path = Path(text)
    if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112  # as above
        raise ArgumentTypeError(f"{text!r} is a file; give the path of a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"{text!r} cannot be made: {error.strerror}") from None
    file_to_write(str(path / "trace"))
    return path


def comma_list(parse_item: Parser) -> Parser:
    """Take values separated by commas; a repeated value counts once."""

    def parse(text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(parse_item(item.strip()) for item in text.split(",")))

    return parse
