"""Writes a JPEG of any structure, scan by scan, as T.81 says; no encoder writes all of them.

Format: https://www.w3.org/Graphics/JPEG/itu-t81.pdf (F.1 for sequential scans, G.1 for progressive ones).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
BLOCK = 64
JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def adobe(transform: int) -> bytes:
    """Return the segment by which Adobe says what the components are: 0 for RGB, 1 for YCbCr."""
    return b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])


@dataclass(frozen=True)
class Component:
    """One plane of the picture."""

    number: int
    horizontal: int
    """Its sampling factors: blocks in a unit of an interleaved scan."""
    vertical: int
    table: int
    """Its quantization table."""


@dataclass(frozen=True)
class Scan:
    """Some bits of some coefficients of some components."""

    components: tuple[int, ...]
    """Their places in the frame."""
    first: int = 0
    last: int = BLOCK - 1
    high: int = 0
    low: int = 0


@dataclass(frozen=True)
class Jpeg:
    """A JPEG's structure; the coefficients are drawn from its seed."""

    width: int
    height: int
    components: tuple[Component, ...]
    scans: tuple[Scan, ...]
    process: int = BASELINE
    tables: tuple[tuple[int, ...], ...] = ((8,) * BLOCK,) * 2
    """Quantization tables, in the zigzag order."""
    restart: int = 0
    """Units between restart markers, 0 for none."""
    application: bytes = JFIF
    seed: int = 0


Block = list[int]
"""64 coefficients in the zigzag order."""
Plane = list[list[Block]]
"""Rows of blocks, filled up to whole units."""
Codes = Sequence[str]
"""The code of each symbol, as a string of 0 and 1."""


def segments(jpeg: Jpeg) -> list[bytes]:
    """Return the parts of the file: segments, and scans with what follows them."""
    chance = random.Random(jpeg.seed)
    planes = [_plane(jpeg, component, chance) for component in jpeg.components]
    dc, ac = _huffman(chance, 4), _huffman(chance, 8)
    return [
        b"\xff\xd8",
        *[jpeg.application] * bool(jpeg.application),
        *(_segment(0xDB, _table(number, table)) for number, table in enumerate(jpeg.tables)),
        _segment(jpeg.process, _frame(jpeg)),
        _segment(0xC4, b"\x00" + dc[1]),
        _segment(0xC4, b"\x10" + ac[1]),
        *[_segment(0xDD, jpeg.restart.to_bytes(2))] * bool(jpeg.restart),
        *(
            _segment(0xDA, _header(jpeg, scan)) + _entropy_coded(jpeg, scan, planes, dc[0], ac[0])
            for scan in jpeg.scans
        ),
        b"\xff\xd9",
    ]


def written(jpeg: Jpeg) -> bytes:
    """Return the file."""
    return b"".join(segments(jpeg))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


def _table(number: int, table: Sequence[int]) -> bytes:
    size = 2 if max(table) > 255 else 1
    return bytes([(size - 1) << 4 | number]) + b"".join(value.to_bytes(size) for value in table)


def _frame(jpeg: Jpeg) -> bytes:
    head = bytes([8, *jpeg.height.to_bytes(2), *jpeg.width.to_bytes(2), len(jpeg.components)])
    return head + b"".join(
        bytes([c.number, c.horizontal << 4 | c.vertical, c.table]) for c in jpeg.components
    )


def _header(jpeg: Jpeg, scan: Scan) -> bytes:
    components = [value for place in scan.components for value in (jpeg.components[place].number, 0)]
    return bytes([len(scan.components), *components, scan.first, scan.last, scan.high << 4 | scan.low])


def _huffman(chance: random.Random, bits: int) -> tuple[Codes, bytes]:
    """Return a random table of as many symbols as have so many bits; the last code is one bit longer."""
    *order, last = chance.sample(range(2**bits), 2**bits)
    codes = [""] * 2**bits
    for code, symbol in enumerate(order):
        codes[symbol] = f"{code:0{bits}b}"
    codes[last] = "1" * bits + "0"  # no code may be of ones alone
    counts = [0] * 16
    counts[bits - 1 : bits + 1] = len(order), 1
    return codes, bytes(counts) + bytes([*order, last])


def _most(jpeg: Jpeg) -> tuple[int, int]:
    return max(c.horizontal for c in jpeg.components), max(c.vertical for c in jpeg.components)


def _units(jpeg: Jpeg) -> tuple[int, int]:
    """Return how many units of an interleaved scan stand beside and below each other."""
    across, down = _most(jpeg)
    return -(-jpeg.width // (8 * across)), -(-jpeg.height // (8 * down))


def _plane(jpeg: Jpeg, component: Component, chance: random.Random) -> Plane:
    across, down = _units(jpeg)
    return [
        [_block(chance) for _ in range(across * component.horizontal)]
        for _ in range(down * component.vertical)
    ]


def _block(chance: random.Random) -> Block:
    block = [0] * BLOCK
    block[0] = chance.randint(-60, 60)
    for _ in range(chance.choice([0, 0, 1, 4, 20])):
        block[chance.choice([chance.randrange(1, 10), chance.randrange(1, BLOCK)])] = round(
            chance.gauss(0, chance.choice([1, 4, 30]))
        )
    return block


def _order(jpeg: Jpeg, scan: Scan, planes: Sequence[Plane]) -> Iterator[list[tuple[int, Block]]]:
    """Yield the blocks of each unit of a scan, with the place of their component."""
    across, down = _units(jpeg)
    if len(scan.components) == 1:
        (place,) = scan.components
        component, (most_across, most_down) = jpeg.components[place], _most(jpeg)
        columns = -(-jpeg.width * component.horizontal // (8 * most_across))
        rows = -(-jpeg.height * component.vertical // (8 * most_down))
        yield from ([(place, planes[place][row][column])] for row in range(rows) for column in range(columns))
        return
    for row, column in product(range(down), range(across)):
        yield [
            (place, planes[place][row * c.vertical + y][column * c.horizontal + x])
            for place in scan.components
            for c in [jpeg.components[place]]
            for y, x in product(range(c.vertical), range(c.horizontal))
        ]


def _entropy_coded(jpeg: Jpeg, scan: Scan, planes: Sequence[Plane], dc: Codes, ac: Codes) -> bytes:
    units = list(_order(jpeg, scan, planes))
    every = jpeg.restart or len(units)
    parts = [units[start : start + every] for start in range(0, len(units), every)]
    coded = b""
    for number, part in enumerate(parts):
        coded += bytes([0xFF, 0xD0 + (number - 1) % 8]) * (number > 0)
        coded += _bytes(_coded(jpeg.process == PROGRESSIVE, scan, part, dc, ac))
    return coded


def _bytes(codes: Iterable[str]) -> bytes:
    bits = "".join(codes)
    bits += "1" * (-len(bits) % 8)
    return int("0" + bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")


def _coded(
    progressive: bool, scan: Scan, units: Iterable[list[tuple[int, Block]]], dc: Codes, ac: Codes
) -> Iterator[str]:
    """Yield the codes of the units between two restart markers."""
    if progressive and scan.first:
        blocks = [block for unit in units for _, block in unit]
        yield from (_refined if scan.high else _first_sent)(scan, blocks, ac)
        return
    before = dict.fromkeys(scan.components, 0)
    for place, block in (each for unit in units for each in unit):
        if progressive and scan.high:
            yield str(block[0] >> scan.low & 1)
            continue
        value = block[0] >> scan.low if progressive else block[0]
        yield _number(dc, 0, value - before[place])
        before[place] = value
        if not progressive:
            yield from _first_sent(replace(scan, first=1, last=BLOCK - 1, low=0), [block], ac)


def _number(codes: Codes, run: int, value: int) -> str:
    """Return the code of a run of zeros and the size of what follows, and the value itself."""
    size = abs(value).bit_length()
    bits = value if value > 0 else value + (1 << size) - 1
    return codes[run << 4 | size] + (f"{bits:0{size}b}" if size else "")


def _shortened(value: int, low: int) -> int:
    return value >> low if value >= 0 else -(-value >> low)


def _ended(codes: Codes, blocks: int) -> str:
    """Return the code for so many blocks in a row that have no more."""
    size = blocks.bit_length() - 1
    return codes[size << 4] + (f"{blocks - (1 << size):0{size}b}" if size else "")


def _first_sent(scan: Scan, blocks: Iterable[Block], ac: Codes) -> Iterator[str]:
    """Yield the codes of a band of coefficients that is sent for the first time."""
    ended = 0
    for block in blocks:
        run = 0
        for value in (_shortened(value, scan.low) for value in block[scan.first : scan.last + 1]):
            if not value:
                run += 1
                continue
            if ended:
                yield _ended(ac, ended)
                ended = 0
            yield ac[0xF0] * (run // 16)
            yield _number(ac, run % 16, value)
            run = 0
        ended += run > 0
        if ended == 0x7FFF:
            yield _ended(ac, ended)
            ended = 0
    if ended:
        yield _ended(ac, ended)


def _refined(scan: Scan, blocks: Iterable[Block], ac: Codes) -> Iterator[str]:
    """Yield the codes of one more bit of a band of coefficients."""
    for block in blocks:
        values = [_shortened(value, scan.low) for value in block[scan.first : scan.last + 1]]
        new = [place for place, value in enumerate(values) if abs(value) == 1]
        last = new[-1] if new else -1
        run, corrections = 0, ""
        for place, value in enumerate(values):
            if not value:
                run += 1
                if run == 16 and place < last:
                    yield ac[0xF0] + corrections
                    run, corrections = 0, ""
            elif abs(value) > 1:
                corrections += str(abs(value) & 1)
            else:
                yield ac[run << 4 | 1] + str(int(value > 0)) + corrections
                run, corrections = 0, ""
        if last < len(values) - 1:
            yield _ended(ac, 1) + corrections
