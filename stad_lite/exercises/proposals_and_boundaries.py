"""Checks and reference answers of the chapter on proposals and boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.exercises.checks import check_function, check_that
from stad_lite.linking import MedianFilter, trim_tubes
from stad_lite.tubes import Tube

__all__ = [
    "check_proposals_of",
    "check_joined",
    "check_kept_frames",
    "check_lost",
    "check_union_recall",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


FILTER = MedianFilter(width=5, threshold=0.3)
"""The filter of exercise 4."""

FRAMES, HIGH = 12, 4
"""Exercise 4: frames of the tube, and how many of them score .9 or more."""


def proposals_of(stage: int) -> tuple[int, int, int]:
    """Return whose proposals a stage makes (0 RGB, 1 flow), the stage of the own boxes, that of the other's.

    Source: PCSC Sec. 3.2, Fig. 1 (RGB's own boxes at stage 1 are those of stage 0).

    >>> proposals_of(1), proposals_of(4)
    ((0, 0, 0), (1, 2, 3))
    """
    return 1 - stage % 2, max(stage - 2, 0), stage - 1


def joined(
    own: np.ndarray,
    own_scores: np.ndarray,
    other: np.ndarray,
    other_scores: np.ndarray,
    own_nms: float,
    other_nms: float,
) -> np.ndarray:
    """Return the boxes of P_t: a stream's own, then the other's, best first, each list after its own NMS.

    own, other: (n, 4), (m, 4) xyxy pixels
    own_nms, other_nms: IoU above which the lower-scored box of a list goes
    returns: (k, 4)

    >>> box = np.array([[0.0, 0, 10, 10]])
    >>> joined(box, np.ones(1), box, np.ones(1), 0.5, 0.3).tolist()
    [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]]
    """
    return np.concatenate([_nms(own, own_scores, own_nms), _nms(other, other_scores, other_nms)])


def _nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(float(box_ops.iou(boxes[i], boxes[j])) <= threshold for j in kept):
            kept.append(int(i))
    return boxes[kept]


def kept_frames(scores: Sequence[float], width: int, threshold: float) -> tuple[int, int]:
    """Return [start, end) of the longest run whose running median is at least the threshold.

    Beyond the ends the end scores hold; of equal runs the earliest; the whole tube where there is none.

    >>> kept_frames([0.1, 0.9, 0.1, 0.8, 0.9, 0.9], width=3, threshold=0.5)
    (2, 6)
    """
    half, count = width // 2, len(scores)
    padded = [scores[0]] * half + list(scores) + [scores[-1]] * half
    high = [sorted(padded[i : i + width])[half] >= threshold for i in range(count)]
    best, start = (0, 0), 0
    for i in range(count + 1):
        if i == count or not high[i]:
            if i - start > best[1] - best[0]:
                best = (start, i)
            start = i + 1
    return best if best[1] else (0, count)


def union_recall(
    rgb: Sequence[Sequence[float]], flow: Sequence[Sequence[float]], count: int, overlap: float = 0.5
) -> float:
    """Return the share of truths that the best ``count`` / 2 proposals of either stream find.

    rgb, flow: (truths, proposals) overlaps, proposals best first
    overlap: a truth is found from here on

    >>> union_recall([[0.6, 0.1], [0.1, 0.6]], [[0.1, 0.1], [0.2, 0.3]], count=2)
    0.5
    """
    half = count // 2
    tables = zip(rgb, flow, strict=True)
    found = [max([*one[:half], *other[:half]], default=0.0) >= overlap for one, other in tables]
    return sum(found) / len(found)


def is_lost(scores: Sequence[float]) -> bool:
    """Tell whether nothing of a tube of 12 frames passes the filter."""
    values = np.asarray(scores, dtype=np.float64)
    tube = Tube(0, np.tile([0.0, 0, 8, 8], (FRAMES, 1)), "a", 0.5, values)
    return trim_tubes([tube], FILTER).removed == 1


def check_proposals_of(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    hint = "odd stages help RGB; P_t joins own B_(t-2), at least stage 0, and the other's B_(t-1)"
    cases = {
        "the stage is the first": [(1,)],
        "flow is helped": [(stage,) for stage in (2, 4, 6)],
        "RGB is helped again": [(stage,) for stage in (3, 5)],
    }
    check_function("proposals_of", answer, proposals_of, cases, hint=hint)


def check_joined(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    random = np.random.default_rng(3)
    cases = {}
    for own, other, first, second in ((6, 6, 0.5, 0.3), (9, 4, 0.3, 0.5), (5, 9, 0.0, 0.7)):
        corner = random.uniform(0, 12, (own + other, 2))
        boxes = np.concatenate([corner, corner + random.uniform(8, 16, (own + other, 2))], 1)
        scores = random.uniform(size=own + other)
        lists = (boxes[:own], scores[:own], boxes[own:], scores[own:], first, second)
        cases[f"{own} boxes are thinned at {first} and {other} at {second}"] = [lists]
    hint = "suppress each list by itself, with its own threshold; a box goes above it, not at it"
    check_function("joined", answer, joined, cases, hint=hint)


def check_kept_frames(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    bumps = [0.0, 0.0, 0.7, 0.9, 0.1, 0.8, 0.9, 0.0]
    cases = {
        "the median mends a gap": [([0.1, 0.9, 0.1, 0.8, 0.9, 0.9], 3, 0.5), (bumps, 3, 0.5)],
        "the filter is one frame wide": [(bumps, 1, 0.5)],
        "two runs are equally long, at the threshold": [([0.5, 0.5, 0.0, 0.0, 0.5, 0.5], 3, 0.5)],
        "nothing would be left": [([0.2, 0.1, 0.2, 0.1], 3, 0.5)],
        "the filter is wider than each run": [([0.9, 0.0, 0.9, 0.0, 0.9, 0.0, 0.0], 5, 0.3)],
    }
    hint = "the end scores hold beyond the ends; at the threshold stays; a tube never goes as a whole"
    check_function("kept_frames", answer, kept_frames, cases, hint=hint)


def check_lost(answer: Any) -> None:
    """Exercise 4."""
    hint = "12 scores from 0 to 1, four of them .9 or more; no five in a row may hold three high ones"
    holds: dict[str, Callable[[Any], bool]] = {
        "these are twelve scores": lambda given: np.shape(given) == (FRAMES,),
        "they lie between 0 and 1": lambda given: min(given) >= 0 and max(given) <= 1,
        "four or more are .9 or more": lambda given: sum(score >= 0.9 for score in given) >= HIGH,
        "the filter leaves nothing": is_lost,
    }
    check_that("lost", answer, holds, hint=hint)


def check_union_recall(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    rgb = [[0.6, 0.1, 0.7, 0.1], [0.1, 0.6, 0.2, 0.3], [0.0, 0.1, 0.1, 0.2], [0.5, 0.1, 0.2, 0.3]]
    flow = [[0.1, 0.1, 0.3, 0.2], [0.2, 0.3, 0.1, 0.9], [0.3, 0.8, 0.1, 0.1], [0.1, 0.2, 0.1, 0.1]]
    cases = {
        "some proposals are left out": [(rgb, flow, count) for count in (2, 4, 6)],
        "all proposals count": [(rgb, flow, 8)],
        "the streams change places": [(flow, rgb, 4)],
        "both streams are alike": [(rgb, rgb, 2)],
    }
    hint = "half of the boxes come from each stream; a truth is found from .5 on"
    check_function("union_recall", answer, union_recall, cases, hint=hint)
