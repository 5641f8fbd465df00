"""Where the labels of points stand, so that none covers another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHARACTER = 6.8
"""Typical width of a character of 12 pixels, in pixels."""
LINE = 15
GAP = 9
"""From the middle of a point to its label."""
POINT = 5
NEAR = 12
"""Pixels to a neighbour below which no label stands between both."""
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
    boxes: list[Box] = []
    in_order = sorted(range(len(points)), key=lambda number: points[number][:2])
    for place, number in enumerate(in_order):
        before, after = ([points[n][:2] for n in some] for some in (in_order[:place], in_order[place + 1 :]))
        taken = [*boxes, *(_point(*at, -NEAR) for at in before), *(_point(*at, NEAR) for at in after)]
        x, y, text = points[number]
        label, box = next(_free(x, y, text, width, height, taken), (Label(0, 0, "left", ""), None))
        labels[number] = label
        boxes += [box] if box else []
    return [labels[number] for number in range(len(points))]


def _point(x: float, y: float, further: int) -> Box:
    """Return the room of a point, and further to one side that of its neighbour's label.

    In a wider picture, a label that stands there would cover the point, or cross its label.
    """
    return x - POINT + min(0, further), y - POINT, x + POINT + max(0, further), y + POINT


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
