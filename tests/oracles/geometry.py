"""Overlaps, suppression and tube overlaps by counting cells of an integer grid, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product

import numpy as np

Cells = set[tuple[int, ...]]


def cells(*spans: tuple[int, int]) -> Cells:
    """The unit cells of an integer interval, box or cuboid: one (start, end) an axis, half-open."""
    return set(product(*(range(int(start), int(end)) for start, end in spans)))


def box_cells(box: Sequence[int]) -> Cells:
    return cells((box[0], box[2]), (box[1], box[3]))


def segment_cells(segment: Sequence[int]) -> Cells:
    return cells((segment[0], segment[1]))


def iou(a: Cells, b: Cells) -> Fraction:
    """Cells in both over cells in either; 0 where there are none."""
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(0)


def giou(a: Cells, b: Cells) -> Fraction:
    """IoU less the share of the smallest grid-aligned hull that lies in neither (both not empty)."""
    axes = list(zip(*(a | b), strict=True))
    hull = cells(*((min(axis), max(axis) + 1) for axis in axes))
    return iou(a, b) - Fraction(len(hull - a - b), len(hull))


def suppressed(
    items: Sequence[Cells],
    scores: Sequence[float],
    threshold: float,
    overlap: Callable[[Cells, Cells], Fraction] = iou,
) -> list[int]:
    """The survivors by definition: i stays unless a better one that stays overlaps it above the threshold.

    Better is a higher score, or the same score and an earlier place.
    """
    order = sorted(range(len(items)), key=lambda i: (-scores[i], i))

    def stays(place: int) -> bool:
        here = order[place]
        return not any(
            stays(before) and float(overlap(items[order[before]], items[here])) > threshold
            for before in range(place)
        )

    return [order[place] for place in range(len(order)) if stays(place)]


def softly_suppressed(
    items: Sequence[Cells], scores: Sequence[float], sigma: float, min_score: float
) -> list[tuple[int, float]]:
    """Gaussian soft-NMS by definition: pick the best, decay the rest, drop what falls below."""
    left = {i: score for i, score in enumerate(scores) if score >= min_score}
    picked = []
    while left:
        best = max(left, key=lambda i: (left[i], -i))
        picked.append((best, left.pop(best)))
        for other in list(left):
            left[other] *= np.exp(-(float(iou(items[best], items[other])) ** 2) / sigma)
            if left[other] < min_score:
                del left[other]
    return picked


GridTube = dict[int, Sequence[int]]
"""A tube as a table: frame -> integer box."""


def tube_overlap(a: GridTube, b: GridTube, kind: str) -> float:
    """A tube overlap by its definition, frame by frame over all frames of either, or cell by cell."""
    union, common = sorted(set(a) | set(b)), sorted(set(a) & set(b))
    on_frame = {t: iou(box_cells(a[t]), box_cells(b[t])) if t in common else Fraction(0) for t in union}
    mean_common = sum((on_frame[t] for t in common), Fraction(0)) / max(len(common), 1)
    temporal = Fraction(len(common), len(union))
    if kind == "volume":
        ours, theirs = ({(t, *cell) for t, box in tube.items() for cell in box_cells(box)} for tube in (a, b))
        return float(iou(ours, theirs))
    return float(
        {
            "mean_common": mean_common,
            "temporal_iou": temporal,
            "temporal_times_spatial": temporal * mean_common,
            "union_mean": sum(on_frame.values(), Fraction(0)) / len(union),
        }[kind]
    )
