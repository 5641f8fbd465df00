"""Where the labels of points stand, so that none covers another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

CHARACTER = 6.8
"""Typical width of a character of 12 pixels, in pixels."""
LINE = 15
GAP = 9
"""From the middle of a point to its label."""
POINT = 5
LANES = 9
"""Lines above and below a point that its label may move to."""


@dataclass(frozen=True)
class Label:
    """Where a label begins, from its point, in pixels; `dy` grows downwards."""

    dx: int
    dy: int
    align: str
    """Of the text: `left` where it begins there, `right` where it ends there."""
    text: str
    """Empty where there is no room for it."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def placed(points: Sequence[tuple[float, float, str]], width: float, height: float) -> list[Label]:
    """Return where each point's label stands: beside it where there is room, else a few lines off.

    Args:
        points: x from the left, y from the top, and the text of each, in pixels.
        width: of the picture. In a wider one, the points are further apart and the labels as far from them.
        height: of the picture.

    """
    labels: dict[int, Label] = {}
    taken: list[Box] = []
    # What stands at one height is in the order of its points: so it stays apart in a wider picture. All
    # boxes go on to the left for that reason, those of later points to the right.
    in_order = sorted(range(len(points)), key=lambda number: points[number][:2])
    for place, number in enumerate(in_order):
        x, y, text = points[number]
        ahead = (points[other][:2] for other in in_order[place + 1 :])
        later = [(right - POINT, down - POINT, inf, down + POINT) for right, down in ahead]
        label, box = next(_free(x, y, text, width, height, [*taken, *later]), (Label(0, 0, "left", ""), None))
        labels[number] = label
        taken.append((-inf, y - POINT, x + POINT, y + POINT))
        if box:
            taken.append((-inf, *box[1:]))
    return [labels[number] for number in range(len(points))]


def _free(
    x: float, y: float, text: str, width: float, height: float, taken: Sequence[Box]
) -> Iterator[tuple[Label, Box]]:
    """Yield the places that are free, the nearest first."""
    for lane in sorted(range(-LANES, LANES + 1), key=lambda lane: (abs(lane), lane)):
        for align in ("left", "right"):
            dx, dy = (GAP if align == "left" else -GAP), lane * LINE
            length = len(text) * CHARACTER
            left = x + dx if align == "left" else x + dx - length
            box = (left, y + dy - LINE / 2, left + length, y + dy + LINE / 2)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            if inside and not any(_overlap(box, other) for other in taken):
                yield Label(dx, dy, align, text), box


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
