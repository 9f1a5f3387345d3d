"""Checks and reference answers of the chapter on how detections are scored."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from stad_lite.boxes import pairwise_iou
from stad_lite.exercises.checks import check_function, check_that, check_value
from stad_lite.metrics import Rules
from stad_lite.metrics.precision import average_precision

__all__ = [
    "check_one_score_lower",
    "check_greedy",
    "check_scene",
    "check_ends",
    "check_ap_of",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def greedy(overlaps: np.ndarray, threshold: float, of_all: bool = False) -> list[bool]:
    """Return whether each detection is true when each takes the best truth that is free.

    overlaps: (n, m) of detections, best score first, and truths
    of_all: it tries the best of all truths only, and is false when that one is taken

    >>> greedy(np.array([[0.9, 0.6], [0.8, 0.6]]), 0.5)
    [True, True]
    >>> greedy(np.array([[0.9, 0.6], [0.8, 0.6]]), 0.5, of_all=True)
    [True, False]
    """
    taken: set[int] = set()
    hits = []
    for row in np.asarray(overlaps, dtype=float):
        open_to_it = [j for j in range(len(row)) if of_all or j not in taken]
        best = max(open_to_it, key=lambda j: row[j], default=None)
        hits.append(bool(best is not None and best not in taken and row[best] >= threshold))
        if best is not None and hits[-1]:
            taken.add(best)
    return hits


def ends(n: int, k: int, m: int) -> tuple[float, float]:
    """Return the lowest and the highest average precision over all orders of n equal scores.

    k: how many of them are true
    m: number of truths

    >>> ends(2, 1, 1)
    (0.5, 1.0)
    """
    hit = [True] * k + [False] * (n - k)
    scores = -np.arange(n, dtype=float)
    values = [average_precision(np.array(order), scores, m, Rules()) for order in set(permutations(hit))]
    return min(values), max(values)


def check_one_score_lower(answer: Any) -> None:
    """Exercise 1."""
    value = 100 * (3 + 2 * 5 / 6) / 6
    check_value("AP with one score lower", answer, value, 0.01, "the envelope looks to the right")


def check_greedy(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    random = np.random.default_rng(0)
    tables = [np.array([[0.9, 0.6], [0.8, 0.6]]), np.array([[0.5], [0.9]]), np.array([[0.4, 0.3]])]
    cases = {
        "the best truth is taken": [(tables[0], 0.5)],
        "two detections find one truth": [(tables[1], 0.5)],
        "no overlap reaches the threshold": [(tables[2], 0.5)],
        "there are six detections": [(random.integers(0, 11, (6, 3)) / 10, 0.5) for _ in range(20)],
    }
    check_function("greedy matching", answer, greedy, cases, hint="whoever took a truth keeps it")


def check_scene(answer: Any) -> None:
    """Exercise 3."""

    def found(scene: Any, of_all: bool) -> int:
        truths, detections = (np.array(boxes, dtype=float) for boxes in scene)
        return sum(greedy(pairwise_iou(detections, truths), 0.5, of_all))

    holds: dict[str, Callable[[Any], bool]] = {
        "there are two truths and three detections": lambda s: [np.shape(b) for b in s] == [(2, 4), (3, 4)],
        "best of the remaining finds both truths": lambda scene: found(scene, False) == 2,
        "best of all finds one truth": lambda scene: found(scene, True) == 1,
    }
    check_that("a scene that the matching rule decides", answer, holds, hint="let the truths overlap")


def check_ends(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    several = [(n, k) for n in range(1, 6) for k in range(1, n + 1)]
    cases = {
        "every truth is found": [(n, k, k) for n, k in several],
        "some truths are missed": [(n, k, k + 2) for n, k in several],
    }
    check_function("the two ends of a tie", answer, ends, cases, hint="all true first; all false first")


def ap_of(boxes: np.ndarray, scores: np.ndarray, truths: np.ndarray) -> float:
    """Return the average precision of a frame's boxes by the envelope, from 0 to 1, at an IoU of .5.

    boxes: (n, 4), truths: (m, 4) xyxy pixels
    scores: (n,) all different
    """
    order = np.argsort(-scores)
    hits = greedy(pairwise_iou(boxes[order], truths), 0.5)
    return float(average_precision(np.array(hits), scores[order], len(truths), Rules()))


def check_ap_of(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    random = np.random.default_rng(1)
    truths = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    near, off = truths + [1, 0, 1, 0], truths + [0, 50, 0, 50]
    scores = np.array([0.2, 0.9, 0.6])
    several = np.concatenate([near, off, near])
    cases = {
        "every truth is found": [(near, scores, truths)],
        "a truth is missed": [(near[:2], scores[:2], truths)],
        "the best score is false": [(np.concatenate([near[:2], off[:1]]), scores[[0, 2, 1]], truths)],
        "a truth is found twice": [(several, random.permutation(9) / 9, truths) for _ in range(5)],
    }
    check_function("ap_of", answer, ap_of, cases, hint="sort by score, match, then the envelope's area")
