"""Checks and reference answers of the chapter on linking and trimming."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from stad_lite.boxes import pairwise_iou
from stad_lite.exercises.checks import check_function, check_that, check_value
from stad_lite.linking import OnlineConfig, from_rows, link_online
from stad_lite.tubes import interpolate

__all__ = [
    "check_best_sum",
    "check_mend",
    "check_bridging_price",
    "check_worse_with_patience",
    "check_numbered",
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


def numbered(frames: list[np.ndarray], threshold: float) -> list[list[int]]:
    """Return the tube's number of each box, linking greedily from frame to frame, the largest overlap first.

    frames: boxes (n, 4) of each frame, xyxy pixels
    threshold: smallest IoU of a link; a box without one begins the next tube
    """
    found: list[list[int]] = []
    begun = 0
    for number, boxes in enumerate(frames):
        own = [-1] * len(boxes)
        overlaps = pairwise_iou(frames[number - 1], boxes) if number else np.zeros((0, len(boxes)))
        while overlaps.size and overlaps.max() >= threshold:
            i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
            own[j] = found[-1][i]
            overlaps[i], overlaps[:, j] = -1, -1
        for j in [j for j, one in enumerate(own) if one < 0]:
            own[j], begun = begun, begun + 1
        found.append(own)
    return found


def check_numbered(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    one, other = np.array([0.0, 0, 10, 10]), np.array([30.0, 0, 40, 10])
    near, nearer = one + [3, 0, 3, 0], one + [1, 0, 1, 0]

    def flat(given: Any) -> Any:
        return None if given is None or given is ... else [number for frame in given for number in frame]

    cases = {
        "actors change places in the list": [([np.stack([one, other]), np.stack([other, one])], 0.5)],
        "two boxes want one tube": [([one[None], np.stack([near, nearer])], 0.5)],
        "an actor leaves and another comes": [([one[None], other[None], other[None]], 0.5)],
        "an actor moves too fast": [([one[None], near[None]], 0.7)],
    }
    hint = "take the largest overlap that is left, then cross out its row and its column"

    def reference(frames: list[np.ndarray], threshold: float) -> Any:
        return flat(numbered(frames, threshold))

    check_function("numbered", lambda *given: flat(answer(*given)), reference, cases, hint=hint)
