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

__all__ = [
    "check_update",
    "check_drawn",
    "check_grid",
    "check_cost",
    "recall",
    "synthetic_boxes",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


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
    """Tell whether boxes (11, 4) meet more of the boxes of unseen clips than ``grid11``."""
    unseen = synthetic_boxes("test")
    return recall(boxes, unseen) > recall(CUBOIDS["grid11"], unseen)


def _is_grid(boxes: Any) -> bool:
    boxes = np.asarray(boxes, dtype=np.float64)
    return boxes.shape == (11, 4) and bool((boxes[:, 2:] > boxes[:, :2]).all())


def _is_inside(boxes: Any) -> bool:
    return np.min(boxes) >= 0 and np.max(boxes) <= 1 + 1e-9


def check_update(answer: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """Exercise 1."""
    generator = np.random.default_rng(0)
    background = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]), np.arange(16.0).reshape(2, 2, 4)
    many = generator.dirichlet(np.ones(7), 11), generator.uniform(0, 60, (11, 6, 4))
    cases = {"the background has the best chance": [background], "there are eleven proposals": [many]}
    hint = "the background has a chance but no box, so it cannot be the best"
    check_function("update", answer, update, cases, hint=hint)


def check_drawn(answer: Callable[[Sequence[float], int], Any]) -> None:
    """Exercise 2."""
    cases: dict[str, list[tuple[Any, ...]]] = {
        "one is drawn": [([0.6, 0.3, 0.1], 1), ([0.5, 0.5], 1)],
        "all are drawn": [([0.6, 0.3, 0.1], 3)],
        "several are drawn": [([0.6, 0.3, 0.1], 2), ([0.9, 0.2, 0.2, 0.05], 2)],
        "scores do not add up to 1": [([0.8, 0.4, 0.3, 0.2, 0.1], 3)],
    }
    hint = "go through all orders; what is left after a draw adds up to less"
    check_function("drawn", answer, drawn, cases, hint=hint)


def check_grid(answer: Any) -> None:
    """Exercise 3."""
    holds = {
        "it is an array (11, 4) of boxes with a width and a height": _is_grid,
        "all boxes lie inside the frame (0 to 1)": _is_inside,
        "they meet more of the boxes of unseen clips than grid11": is_better_grid,
    }
    check_that("eleven boxes", answer, holds, "how large are the actors, and where do they stand?")


def check_cost(answer: Callable[[float, float], Any]) -> None:
    """Exercise 4."""
    cases = {
        "the miss is below a width": [(4.0, 8.0), (4.0, 32.0)],
        "the tubelet lies to the left": [(-4.0, 32.0)],
        "the miss is a width or more": [(8.0, 8.0), (12.0, 8.0)],
        "nothing is missed": [(0.0, 10.0)],
    }
    hint = "the offset is the miss in widths of the proposal; smooth L1 is a parabola below 1"
    check_function("cost", answer, cost, cases, hint=hint)
