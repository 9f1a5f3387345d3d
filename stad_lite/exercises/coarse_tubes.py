"""Exercises of the chapter on coarse tubes: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from stad_lite import boxes as box_ops
from stad_lite.exercises.checks import check_function, check_made, check_that
from stad_lite.exercises.polynomial_tubes import THETA
from stad_lite.matching import segment_overlaps

__all__ = [
    "check_weights",
    "check_lost",
    "check_moved",
    "check_mean_difference",
    "check_train_branch",
    "ANCHOR",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


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


def is_tube(boxes: Any) -> bool:
    """Tell whether these are 24 boxes with sides of a pixel or more."""
    boxes = np.asarray(boxes, dtype=np.float64)
    right_form = boxes.shape == (24, 4) and np.isfinite(boxes).all()
    return bool(right_form and (boxes[:, 2:] - boxes[:, :2]).min() >= 1)


def mean_overlap(boxes: Any, frames: int) -> float:
    """Return the mean IoU of ``ANCHOR`` with the first frames of a tube, (24, 4) xyxy pixels."""
    whole = torch.as_tensor(np.asarray(boxes, dtype=np.float64))
    return float(segment_overlaps(torch.as_tensor(ANCHOR)[None], [whole], frames)[0][0, 0])


def check_weights(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    cases = {
        "the time is the middle of a step": [(3.5, 8, 12)],
        "the time lies between two steps": [(7.5, 8, 12), (9.0, 8, 12), (4.25, 1, 6)],
        "the time lies before the first or behind the last step": [(0.0, 8, 12), (95.0, 8, 12)],
    }
    hint = "the step j lies at stride * j + (stride - 1) / 2; the ends hold beyond the ends"
    check_function("weights", answer, weights, cases, hint=hint)


def check_lost(answer: Any) -> None:
    """Exercise 2."""
    hint = "stay with the anchor for six frames, then leave it for good"
    holds = {
        "it is an array (24, 4) of boxes with sides of a pixel or more": is_tube,
        "the anchor meets its first six frames (.5 or more)": lambda b: mean_overlap(b, SEGMENT) >= 0.5,
        "its mean IoU with the anchor is below .3": lambda b: mean_overlap(b, 24) < 0.3,
    }
    check_that("a tube that is lost by its mean", answer, holds, hint)


def check_moved(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    other = np.array([0.0, 20.0, 32.0, 60.0])
    theta = THETA / 20
    cases = {
        "both anchors are the same": [(theta, ANCHOR, ANCHOR)],
        "the anchors differ": [(theta, ANCHOR, other), (theta[:2], other, ANCHOR)],
        "the tube stands still (order 0)": [(theta[:1], other, ANCHOR)],
    }
    hint = "all rows of x and y are measured in sides of the anchor; a log's factor is a constant"
    check_function("moved", answer, moved, cases, hint=hint, in_place="theta")


def check_mean_difference(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    cases = {
        "the row goes up": [(3.0, 9.0, 4), (2.0, 7.0, 2)],
        "the row comes back": [(1.0, 1.0, 16)],
        "the row goes down": [(0.5, -0.25, 16)],
    }
    hint = "write the sum of three differences out"
    check_function("mean_difference", answer, mean_difference, cases, hint=hint)


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return differences (count, 1, 15) of rows that end where they began, and which go up between."""
    generator = torch.Generator().manual_seed(seed)
    wave = torch.linspace(0, torch.pi, 16).sin() * (1 + torch.rand(count, 1, generator=generator))
    moves = (torch.rand(count, generator=generator) < 0.5).float()
    noise = 0.02 * torch.randn(count, 16, generator=generator)
    return (wave * moves[:, None] + noise).diff(dim=1)[:, None], moves


def check_train_branch(answer: Callable[..., Any]) -> None:
    """Exercise 5: the answer is trained on some rows and tried on others."""
    difference, moves = rows(400, seed=1)
    holds = {
        "it gives a number for each row": lambda net: net(difference).shape == (len(moves), 1),
        "it is right on 95 % of unseen rows, or more": lambda net: (
            ((net(difference)[:, 0] > 0) == (moves > 0)).float().mean().item() >= 0.95
        ),
    }
    hint = "the mean over time comes last: Conv1d, ReLU, AdaptiveAvgPool1d, Flatten, Linear"
    check_made("train_branch", answer, rows(400, seed=0), holds, hint)
