"""Exercises of the chapter on coarse tubes: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from stad_lite import boxes as box_ops
from stad_lite.exercises.checks import check_function, check_that
from stad_lite.exercises.polynomial_tubes import THETA
from stad_lite.matching import segment_overlaps

SEGMENT = 6
"""K, frames of a matching segment."""

ANCHOR = np.array([10.0, 16.0, 26.0, 48.0])
"""The anchor that the tube of exercise 2 meets at first, and loses."""


def weights(time: float, stride: int, steps: int) -> np.ndarray:
    """Return how much of each step of the features is in the feature at a frame.

    time: frame, not a whole number
    stride: frames that a step stands for; it lies at their middle
    steps: of the features
    returns: (steps,) in [0, 1], at most two of them above 0, together 1
    Source: CFAD Sec. 3.1 (N features at even times; that they are interpolated is ours).

    >>> weights(7.5, 8, 3).tolist()
    [0.5, 0.5, 0.0]
    """
    place = min(max((time - (stride - 1) / 2) / stride, 0.0), steps - 1.0)
    return np.asarray(np.clip(1 - np.abs(np.arange(steps) - place), 0, None))


def moved(theta: np.ndarray, anchor: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the coefficients that describe a tube from another anchor.

    theta: (k + 1, 4) coefficients of the offsets from ``anchor``
    anchor, other: (4,) xyxy pixels
    returns: (k + 1, 4), which ``other`` decodes to the same boxes
    Source: CFAD Eq. 1 and Sec. 3.2, with the offsets of Faster R-CNN Eq. 2.
    """
    here, there = (box_ops.xyxy_to_cxcywh(np.asarray(box, dtype=np.float64)) for box in (anchor, other))
    found = np.array(theta, dtype=np.float64)
    found[:, :2] *= here[2:] / there[2:]
    found[0, :2] += (here[:2] - there[:2]) / there[2:]
    found[0, 2:] += np.log(here[2:] / there[2:])
    return found


def mean_difference(first: float, last: float, count: int) -> float:
    """Return the mean of the differences of neighbours in a row of numbers.

    first, last: the numbers at its ends
    count: how many numbers it has, 2 or more

    >>> mean_difference(3.0, 9.0, 4)
    2.0
    """
    return (last - first) / (count - 1)


def is_lost(tube: Any) -> bool:
    """Tell whether a tube is ``ANCHOR``'s by its first segment, and nobody's by its mean.

    tube: (24, 4) xyxy pixels, sides of a pixel or more
    """
    boxes = np.asarray(tube, dtype=np.float64)
    if boxes.shape != (24, 4):
        raise ValueError(f"shape {boxes.shape}, wanted (24, 4)")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] - boxes[:, :2]).min() < 1:
        raise ValueError("a box has a side below a pixel")
    anchor, whole = torch.as_tensor(ANCHOR)[None], torch.as_tensor(boxes)
    by_segment, by_mean = (segment_overlaps(anchor, [whole], length)[0][0, 0] for length in (SEGMENT, 24))
    return bool(by_segment >= 0.5 and by_mean < 0.3)


def check_weights(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    cases = [(3.5, 8, 12), (7.5, 8, 12), (9.0, 8, 12), (0.0, 8, 12), (95.0, 8, 12), (4.25, 1, 6)]
    hint = "the step j lies at stride * j + (stride - 1) / 2; the ends hold beyond the ends"
    check_function("weights", answer, weights, cases, hint=hint)


def check_lost(answer: Any) -> None:
    """Exercise 2."""
    hint = "stay with the anchor for six frames, then leave it for good"
    check_that("a tube that is lost by its mean", answer, is_lost, hint)


def check_moved(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    other = np.array([0.0, 20.0, 32.0, 60.0])
    theta = THETA / 20
    cases = [
        (theta, ANCHOR, ANCHOR),
        (theta, ANCHOR, other),
        (theta[:2], other, ANCHOR),
        (theta[:1], other, ANCHOR),
    ]
    hint = "all rows of x and y are measured in sides of the anchor; a log's factor is a constant"
    check_function("moved", answer, moved, cases, hint=hint)


def check_mean_difference(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    cases = [(3.0, 9.0, 4), (1.0, 1.0, 16), (0.5, -0.25, 16), (2.0, 7.0, 2)]
    hint = "write the sum of three differences out"
    check_function("mean_difference", answer, mean_difference, cases, hint=hint)
