"""Checks and reference answers of the chapter on tubes and their overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite import tubes
from stad_lite.exercises.checks import check_function, check_that, check_value

__all__ = [
    "check_half_box",
    "check_temporal",
    "check_judges",
    "check_suppress",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def temporal(a_start: int, a_end: int, b_start: int, b_end: int) -> float:
    """Return the frames in common over the frames in the union of two spans [start, end).

    >>> temporal(0, 24, 8, 32)
    0.5
    """
    common = len(set(range(a_start, a_end)) & set(range(b_start, b_end)))
    return common / len(set(range(a_start, a_end)) | set(range(b_start, b_end)))


def check_half_box(iou: Any, giou: Any) -> None:
    """Exercise 1."""
    check_value("IoU of half a box", iou, 0.5, hint="shared over union")
    check_value("GIoU of half a box", giou, 0.5, hint="how much of the hull is uncovered?")


def check_temporal(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    cases = {
        "the spans overlap": [(0, 24, 8, 32), (8, 32, 0, 24)],
        "the spans only touch": [(0, 5, 5, 9)],
        "the spans do not meet": [(0, 5, 7, 9)],
        "the spans are one": [(3, 9, 3, 9)],
        "one span holds the other": [(0, 10, 4, 6)],
    }
    check_function("temporal", answer, temporal, cases, hint="spans that do not meet share 0 frames")


def check_judges(answer: Any) -> None:
    """Exercise 3."""

    def disagree(judged: Any) -> bool:
        truth, first, second = judged
        product, volume = (
            [tubes.tube_iou(truth, found, kind) for found in (first, second)]
            for kind in ("temporal_times_spatial", "volume")
        )
        return bool(product[0] > product[1] and volume[0] < volume[1])

    check_that("two judges that disagree", answer, disagree, hint="let the actor grow")


def suppress(found: Sequence[tubes.Tube], scores: Sequence[float], threshold: float) -> list[int]:
    """Return the numbers of the tubes that stay, best score first.

    threshold: a tube goes where its volume overlaps that of one that stays by more
    """
    kept: list[int] = []
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        if all(tubes.tube_iou(found[i], found[j], "volume") <= threshold for j in kept):
            kept.append(i)
    return kept


def check_suppress(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    box = np.array([[0.0, 0, 10, 10]])
    early, late, beside = (
        tubes.Tube(start, box.repeat(10, 0) + shift) for start, shift in ((0, 0), (4, 0), (0, 8))
    )
    hint = "go from the best to the worst; compare with those that stay, not with all"
    cases = {
        "tubes overlap": [([early, late, beside], [0.2, 0.9, 0.5], 0.3)],
        "tubes overlap, but by less than the threshold": [([early, late, beside], [0.2, 0.9, 0.5], 0.6)],
        "the tube between two others goes": [
            ([tubes.Tube(start, box.repeat(10, 0)) for start in (0, 4, 8)], [0.9, 0.8, 0.7], 0.3)
        ],
    }
    check_function("suppress", answer, suppress, cases, hint=hint)
