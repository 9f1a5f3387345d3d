"""Checks and reference answers of the chapter on progressive refinement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from stad_lite.data.synthetic import annotate
from stad_lite.exercises.checks import check_function, check_that
from stad_lite.step.config import clip_settings
from stad_lite.step.cuboids import CUBOIDS, best_overlaps

TAU = 0.2
"""The overlap from which a proposal of the first step is positive."""


def update(chances: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return each proposal's box of its best action (STEP Eq. 1).

    chances: (m, classes + 1), the last column is the background
    boxes: (m, classes, 4) one box a class

    >>> update(np.array([[0.1, 0.2, 0.7]]), np.arange(8.0).reshape(1, 2, 4))
    array([[4., 5., 6., 7.]])
    """
    best = np.asarray(chances)[:, :-1].argmax(1)
    return np.asarray(np.asarray(boxes)[np.arange(len(best)), best])


def drawn(scores: Sequence[float], wanted: int) -> np.ndarray:
    """Return each proposal's chance to be among those drawn without replacement (STEP Sec. 3.4).

    One is drawn after the other, each with a chance proportional to its score among those left.

    scores: positive
    wanted: how many are drawn, at most all

    >>> drawn([0.6, 0.3, 0.1], 1).round(3).tolist()
    [0.6, 0.3, 0.1]
    """
    scores = [float(score) for score in scores]
    found = np.zeros(len(scores))
    for order in permutations(range(len(scores)), min(wanted, len(scores))):
        chance, left = 1.0, sum(scores)
        for one in order:
            chance *= scores[one] / left
            left -= scores[one]
        found[list(order)] += chance
    return found


def cost(miss: float, width: float) -> float:
    """Return Eq. 3 for a tubelet that lies some pixels to the side of the truth on every frame.

    miss: pixels between the centres; the size is right
    width: of the proposal from which the offsets are measured, pixels

    >>> cost(4.0, 8.0), cost(4.0, 32.0)
    (0.125, 0.0078125)
    """
    apart = abs(miss) / width
    return apart**2 / 2 if apart < 1 else apart - 0.5


def synthetic_boxes(split: str = "val", clips: int = 100) -> np.ndarray:
    """Return the true boxes of synthetic clips at ``lesson``: (n, 4) xyxy shares of the frame.

    split: one that is neither trained nor tested on
    """
    settings = clip_settings("lesson")
    videos = annotate(settings, clips, split).videos.values()
    boxes = np.concatenate([tube.boxes for video in videos for tube in video.tubes or ()])
    return np.asarray(boxes / [settings.width, settings.height, settings.width, settings.height])


def recall(boxes: np.ndarray, real: np.ndarray, threshold: float = TAU) -> float:
    """Return the share of real boxes that overlap an initial one by the threshold or more.

    boxes: (n, 4) and real: (m, 4) xyxy shares of the frame

    >>> recall(np.array([[0, 0, 1, 1.0]]), np.array([[0, 0, 0.5, 0.5], [0, 0, 0.4, 0.4]]))
    0.5
    """
    return float((best_overlaps(real, np.asarray(boxes, dtype=np.float64)) >= threshold).mean())


def is_better_grid(boxes: Any) -> bool:
    """Tell whether eleven boxes inside the frame meet more of the boxes of unseen clips than ``grid11``."""
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.shape != (11, 4):
        raise ValueError(f"shape {boxes.shape}, wanted (11, 4)")
    if not (np.isfinite(boxes).all() and boxes.min() >= 0 and boxes.max() <= 1 + 1e-9):
        raise ValueError("the boxes leave the frame")
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError("a box has no width or no height")
    unseen = synthetic_boxes("test")
    return recall(boxes, unseen) > recall(CUBOIDS["grid11"], unseen)


def check_update(answer: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """Exercise 1."""
    generator = np.random.default_rng(0)
    cases = [
        (np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]), np.arange(16.0).reshape(2, 2, 4)),
        (generator.dirichlet(np.ones(7), 11), generator.uniform(0, 60, (11, 6, 4))),
    ]
    hint = "the background has a chance but no box, so it cannot be the best"
    check_function("update", answer, update, cases, hint=hint)


def check_drawn(answer: Callable[[Sequence[float], int], Any]) -> None:
    """Exercise 2."""
    cases: list[tuple[Any, ...]] = [
        ([0.6, 0.3, 0.1], 1), ([0.6, 0.3, 0.1], 2), ([0.6, 0.3, 0.1], 3), ([0.9, 0.2, 0.2, 0.05], 2),
        ([0.5, 0.5], 1), ([0.8, 0.4, 0.3, 0.2, 0.1], 3),
    ]  # fmt: skip
    hint = "go through all orders; what is left after a draw adds up to less"
    check_function("drawn", answer, drawn, cases, hint=hint)


def check_grid(answer: Any) -> None:
    """Exercise 3."""
    check_that("eleven boxes", answer, is_better_grid, "meet more of the boxes of unseen clips than grid11")


def check_cost(answer: Callable[[float, float], Any]) -> None:
    """Exercise 4."""
    cases = [(4.0, 8.0), (4.0, 32.0), (-4.0, 32.0), (12.0, 8.0), (0.0, 10.0), (8.0, 8.0)]
    hint = "the offset is the miss in widths of the proposal; smooth L1 is a parabola below 1"
    check_function("cost", answer, cost, cases, hint=hint)
