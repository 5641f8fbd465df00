"""JPEGs of a random structure, sound and otherwise.

`drawn` gives one that is sound, `disturbed` changes its structure; `mutant` gives a file of either.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from jpeg_writer import (
    BASELINE,
    BLOCK,
    EXTENDED,
    JFIF,
    PROGRESSIVE,
    Component,
    Jpeg,
    Scan,
    adobe,
    segments,
    written,
)

USUAL = (
    ((1, 1), (1, 1), (1, 1)),
    ((2, 1), (1, 1), (1, 1)),
    ((1, 2), (1, 1), (1, 1)),
    ((2, 2), (1, 1), (1, 1)),
    ((4, 1), (1, 1), (1, 1)),
    ((2, 2), (2, 1), (2, 1)),
    ((2, 2), (1, 2), (1, 2)),
    ((1, 1),),
    ((3, 2),),
)
"""Sampling factors that every decoder takes, of three components or one."""
ODD = (
    ((1, 4), (1, 1), (1, 1)),
    ((2, 2), (2, 1), (1, 2)),
    ((1, 1), (2, 1), (1, 2)),
    ((3, 1), (1, 1), (1, 1)),
    ((3, 2), (1, 1), (1, 1)),
    ((1, 3), (1, 3), (1, 1)),
    ((2, 2), (1, 1), (2, 2)),
    ((4, 2), (1, 1), (1, 1)),
    ((2, 4), (1, 1), (1, 1)),
)
"""Such as few encoders write."""


def drawn(seed: int, samplings: Sequence[Sequence[tuple[int, int]]] = USUAL) -> Jpeg:
    """Return a sound JPEG of a random structure: all that is needed comes once and in order."""
    chance = random.Random(seed)
    process = chance.choice([BASELINE, EXTENDED, PROGRESSIVE, PROGRESSIVE])
    factors = chance.choice(samplings)
    numbers = chance.choice([(1, 2, 3), (0, 1, 2), (82, 71, 66), (7, 5, 200)])
    components = tuple(
        Component(number, *factor, table=min(place, 1))
        for place, (number, factor) in enumerate(zip(numbers, factors, strict=False))
    )
    return Jpeg(
        width=chance.choice([1, 2, 3, 7, 8, 9, 16, 17, chance.randint(1, 70)]),
        height=chance.choice([1, 2, 3, 7, 8, 9, 16, 17, chance.randint(1, 70)]),
        components=components,
        scans=tuple(_scans(chance, len(components), process == PROGRESSIVE)),
        process=process,
        tables=tuple(_quantization(chance, process) for _ in range(2)),
        restart=chance.choice([0, 0, 1, 2, 5]),
        application=chance.choice([JFIF, b"", adobe(0), adobe(1), JFIF + adobe(1)]),
        seed=seed,
    )


def _quantization(chance: random.Random, process: int) -> tuple[int, ...]:
    most = chance.choice([1, 16, 99, 255] + [40_000] * (process != BASELINE))
    return tuple(chance.randint(1, most) for _ in range(BLOCK))


def _scans(chance: random.Random, count: int, progressive: bool) -> Iterator[Scan]:
    together = chance.random() < 0.5
    groups = [tuple(range(count))] if together else [(place,) for place in range(count)]
    if not progressive:
        yield from map(Scan, groups)
        return
    low = chance.choice([0, 1, 2])
    yield from (Scan(group, 0, 0, 0, low) for group in groups)
    bands = [band for place in range(count) for band in _bands(chance, place)]
    chance.shuffle(bands)
    later = [*bands, *(Scan(group, 0, 0, 0, low) for group in groups)]
    yield from bands
    while later := [replace(scan, high=scan.low, low=scan.low - 1) for scan in later if scan.low]:
        chance.shuffle(later)
        yield from later


def _bands(chance: random.Random, place: int) -> Iterator[Scan]:
    cuts = sorted({1, BLOCK, *(chance.randint(2, BLOCK) for _ in range(chance.choice([0, 1, 3])))})
    for first, end in pairwise(cuts):
        yield Scan((place,), first, end - 1, 0, chance.choice([0, 1, 2]))


def disturbed(jpeg: Jpeg, seed: int) -> Jpeg:
    """Return the JPEG with something of its structure changed: often one that should not be."""
    chance = random.Random(seed)
    scans = list(jpeg.scans)
    place = chance.randrange(len(scans))
    match chance.choice(["end", "end", "lack", "twice", "swap", "scan", "sampling", "process", "number"]):
        case "end":
            scans = scans[: max(1, place)]
        case "lack" if len(scans) > 1:
            del scans[place]
        case "twice":
            scans.insert(chance.randrange(len(scans) + 1), scans[place])
        case "swap":
            chance.shuffle(scans)
        case "scan":
            change, most = chance.choice([("first", 63), ("last", 63), ("high", 13), ("low", 13)])
            scans[place] = replace(
                scans[place], **{change: chance.choice([0, 1, 2, chance.randint(0, most)])}
            )
        case "process":
            return replace(jpeg, process=chance.choice([0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB]))
        case "number":
            return _with_component(jpeg, chance, number=chance.choice([1, 2, 3]))
        case "sampling":
            return _with_component(
                jpeg, chance, horizontal=chance.randint(1, 4), vertical=chance.randint(1, 4)
            )
    return replace(jpeg, scans=tuple(scans))


def mutant(seed: int) -> bytes:
    """Return a file of a random structure: sound, disturbed, or with its segments mixed up."""
    chance = random.Random(seed)
    jpeg = drawn(seed, chance.choice([USUAL, USUAL, USUAL, ODD]))
    match chance.choice(["sound", "structure", "structure", "segments"]):
        case "structure":
            jpeg = disturbed(jpeg, seed)
        case "segments":
            return b"".join(_mixed_up(segments(jpeg), chance))
    return written(jpeg)


def _mixed_up(parts: list[bytes], chance: random.Random) -> list[bytes]:
    """Return the parts of a file with one left out, sent twice, moved, or changed in its first bytes."""
    place = chance.randrange(1, len(parts))
    part = parts.pop(place)
    match chance.choice(["lack", "twice", "move", "change", "change", "change"]):
        case "twice":
            parts[place:place] = [part, part]
        case "move":
            parts.insert(chance.randrange(len(parts) + 1), part)
        case "change":
            at = chance.randrange(min(len(part), 20))
            parts.insert(place, part[:at] + chance.randbytes(1) + part[at + 1 :])
    return parts


def _with_component(jpeg: Jpeg, chance: random.Random, **changes: int) -> Jpeg:
    components = list(jpeg.components)
    place = chance.randrange(len(components))
    components[place] = replace(components[place], **changes)
    return replace(jpeg, components=tuple(components))
