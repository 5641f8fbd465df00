"""The structure of a JPEG: whether decoders may show it in different pixels, although each of them takes it.

Decoders of the same family make up for coefficients that never come: they guess those of a progressive JPEG
that ends after its first scans from the blocks around, each version by another formula, and without a word
(libjpeg-turbo#700, #721). Here every coefficient of every component has to come once and in full.
Format: https://www.w3.org/Graphics/JPEG/itu-t81.pdf (B.2 for segments, G.1.1.1 for scans).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""A marker that is followed by a segment: no filler, no byte of a scan, none that stands alone."""
_END, _SCAN, _HUFFMAN_TABLES = 0xD9, 0xDA, 0xC4
_FRAMES = {*range(0xC0, 0xD0)} - {_HUFFMAN_TABLES, 0xC8, 0xCC}
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_SAMPLINGS = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
}
"""By how much finer the first component is than the two others, across and down. Of 4:4:1, simplejpeg 1.9
reads the picture and not the header; what is odder it does not read at all."""
_COEFFICIENTS = 64
_NOT_SENT = -1


@dataclass(frozen=True)
class _Scan:
    """What the header of a scan says."""

    components: list[int]
    first: int
    """Of its coefficients, in the zigzag order."""
    last: int
    high: int
    """Bits of them that were still to come before it; 0 for their first scan."""
    low: int
    """Bits of them that are to come after it."""

    @classmethod
    def of(cls, body: bytes) -> "_Scan":
        """Read a scan's header, without its marker and length."""
        count = body[0]
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        return cls(list(body[1 : 1 + 2 * count : 2]), first, last, bits >> 4, bits & 15)

    def send(self, bits: list[int]) -> bool:
        """Note what the scan sends of a component; say whether it is its turn.

        Args:
            bits: how many of each coefficient are to come; changed here.

        """
        sent = slice(self.first, self.last + 1)
        count = self.last + 1 - self.first
        in_turn = bits[sent] == [self.high or _NOT_SENT] * count
        bits[sent] = [self.low] * count
        return in_turn


def structure_fault(content: bytes) -> str:
    """Return why decoders that take a JPEG may differ in its pixels, as the end of a sentence, or nothing."""
    try:
        return _fault(content)
    except (IndexError, KeyError, ValueError):
        return "is a damaged JPEG: its segments do not fit each other"


def _fault(content: bytes) -> str:
    bits: dict[int, list[int]] = {}
    for marker, body in _segments(content):
        if marker in _FRAMES:
            if marker not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
                return "is a JPEG in arithmetic, lossless or hierarchical coding; allowed is Huffman coding"
            bits = {number: [_NOT_SENT] * _COEFFICIENTS for number in body[6::3]}
            if len(bits) < body[5]:
                return "is a damaged JPEG: two of its components have one number"
            if not _is_usual([(factors >> 4, factors & 15) for factors in body[7::3]]):
                allowed = ", ".join(_SAMPLINGS.values())
                return f"is a JPEG whose colours are sampled in an unusual way; allowed are {allowed}"
        elif marker == _SCAN:
            scan = _Scan.of(body)
            if not all(scan.send(bits[number]) for number in scan.components):
                return "is a damaged JPEG: its scans do not follow each other"
    if any(any(left) for left in bits.values()):
        return "is a damaged JPEG: it ends before its last scans"
    return ""


def _is_usual(factors: list[tuple[int, int]]) -> bool:
    """Say whether sampling factors of the components, across and down, are such as every decoder takes."""
    (across, down), *others = factors
    return not others or any(
        others == [(across // finer_across, down // finer_down)] * 2
        and not (across % finer_across or down % finer_down)
        for finer_across, finer_down in _SAMPLINGS
    )


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of each segment up to the end of the image."""
    place = 0
    while (found := _SEGMENT.search(content, place)) and (marker := found[1][0]) != _END:
        start = found.end()
        place = start + int.from_bytes(content[start : start + 2])
        yield marker, content[start + 2 : place]
