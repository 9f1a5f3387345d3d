"""Checks and reference answers of the chapter on linking and trimming."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function, check_that, check_value
from stad_lite.linking import OnlineConfig, from_rows, link_online
from stad_lite.tubes import interpolate

__all__ = [
    "check_best_sum",
    "check_mend",
    "check_bridging_price",
    "check_worse_with_patience",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def best_sum(weights: np.ndarray) -> float:
    """Return the largest sum of edges over all paths through a lattice, by trying each path.

    weights: (columns - 1, boxes, boxes)

    >>> best_sum(np.array([[[1., 5.], [2., 0.]], [[1., 0.], [0., 3.]]]))
    8.0
    """
    columns, boxes = len(weights) + 1, weights.shape[1]
    paths = product(range(boxes), repeat=columns)
    return max(float(sum(w[i, j] for w, i, j in zip(weights, p, p[1:], strict=False))) for p in paths)


def mend(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return a box for every frame from the first to the last, holes filled on a straight line.

    frames: (m,) rising
    boxes: (m, 4) xyxy pixels

    >>> mend(np.array([2, 4]), np.array([[0., 0., 4., 4.], [2., 0., 6., 4.]]))[1]
    array([1., 0., 5., 4.])
    """
    return interpolate(frames, boxes, np.arange(frames[0], frames[-1] + 1))


def bridging_price(length: int, score: float) -> float:
    """Return the price of a switch from which a weak run between strong frames is not cut out.

    length: frames of the weak run
    score: of each of its frames, below 1/2

    Cutting the run out changes the labels' scores by 1 - 2 * score a frame and costs two switches.

    >>> bridging_price(4, .25)
    1.0
    """
    return length * (1 - 2 * score) / 2


def check_best_sum(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    rng = np.random.default_rng(3)
    shapes = [(1, 2, 2), (3, 2, 2), (4, 3, 3)]
    lattices = [(rng.integers(0, 9, size=shape).astype(float),) for shape in shapes]
    cases = {
        "the path has one edge": lattices[:1],
        "the best first edge does not lead to the best path": lattices[1:],
        "all edges are below 0": [(-lattices[1][0] - 1,)],
    }
    check_function("best sum", answer, best_sum, cases, hint="keep the best sum that ends at each box")


def check_mend(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    rng = np.random.default_rng(4)
    frames = [np.array(case) for case in ([0, 1, 2], [3, 5], [2, 3, 7, 8, 10])]
    paths = [(frame, rng.uniform(0, 50, size=(len(frame), 4))) for frame in frames]
    cases = {"no frame is missing": paths[:1], "frames are missing": paths[1:]}
    check_function("mend", answer, mend, cases, hint="one coordinate at a time")


def check_bridging_price(answer: Any) -> None:
    """Exercise 3."""
    hint = "two switches are saved; how much score is lost?"
    check_value("bridging price", answer, bridging_price(6, 0.2), hint=hint)


def tubes_by_gap(frames: Any, boxes: Any, gap: int) -> list[tuple[int, int]]:
    """Return the [start, end) of the tubes that online linking makes of one box a frame.

    frames: (m,) rising
    boxes: (m, 4) xyxy pixels
    """
    frames = np.asarray(frames)
    score, label = np.full(len(frames), 0.8), np.zeros(len(frames), dtype=np.int64)
    found = from_rows(frames, label, np.asarray(boxes, dtype=float), score, num_classes=1)
    config = OnlineConfig(gap=gap, min_boxes=1)
    return sorted((tube.start, tube.end) for tube in link_online(found, config).tubes)


def check_worse_with_patience(answer: Any) -> None:
    """Exercise 4."""

    def worse(given: Any) -> bool:
        frames, boxes = given
        impatient, patient = (tubes_by_gap(frames, boxes, gap) for gap in (1, 5))
        return len(impatient) == 2 and len(patient) == 1

    hint = "let the first actor leave, and the second come where it was last seen"
    check_that("worse with patience", answer, worse, hint=hint)
