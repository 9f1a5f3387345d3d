"""Exercises of the chapter on fusion and speed: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stad_lite.exercises.checks import check_function, check_made

__all__ = [
    "check_boxes_in_all",
    "check_split",
    "check_longest_wait",
    "check_learn_encoder",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def boxes_in_all(side: int, levels: int, per_cell: int) -> int:
    """Return the default boxes of a detector whose maps halve from level to level, rounded up.

    side: of the finest map, in cells
    per_cell: boxes of each cell, the same at all levels

    >>> boxes_in_all(16, 3, 6)
    2016
    """
    sides = [side]
    while len(sides) < levels:
        sides.append(-(-sides[-1] // 2))
    return sum(cells**2 * per_cell for cells in sides)


def split(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices of the streams' sum and difference that say what that of both says.

    weight: (c, 2 c), appearance first
    returns: each (c, c)
    Source: flow subnet Eq. 6, written in another basis.
    """
    appearance, motion = np.split(weight, 2, axis=1)
    return (appearance + motion) / 2, (appearance - motion) / 2


def longest_wait(ms: Sequence[float], fps: float) -> float:
    """Return the longest time in milliseconds from a frame's arrival until it has been looked at.

    ms: what each frame takes; one is looked at after the other
    fps: frames that arrive in a second

    >>> longest_wait([30.0, 90.0, 30.0], fps=25)
    90.0
    """
    free = longest = 0.0
    for number, cost in enumerate(ms):
        arrival = 1000 * number / fps
        free = max(free, arrival) + cost
        longest = max(longest, free - arrival)
    return longest


def motion_and_change(fields: Tensor) -> Tensor:
    """Return images (n, 3, h, w) of two fields (n, 4, h, w): their mean, and by how much x changes."""
    first, second = fields.chunk(2, 1)
    return torch.cat([(first + second) / 2, (second - first)[:, :1]], 1)


def check_boxes_in_all(answer: Callable[[int, int, int], Any]) -> None:
    """Exercise 1."""
    hint = "a map of s x s cells has s * s * per_cell boxes; 5 cells are followed by 3"
    cases = {
        "there is one level": [(16, 1, 6)],
        "all sides are even": [(16, 3, 6)],
        "a side is odd and is rounded up": [(38, 4, 6), (5, 3, 4)],
    }
    check_function("boxes_in_all", answer, boxes_in_all, cases, hint=hint)


def check_split(answer: Callable[[np.ndarray], Any]) -> None:
    """Exercise 2."""
    generator = np.random.default_rng(0)
    hint = "put a = (sum + difference) / 2 and m = (sum - difference) / 2 into W a + V m"
    cases = {f"maps have {n} channels": [(generator.normal(size=(n, 2 * n)),)] for n in (1, 3)}
    check_function("split", answer, split, cases, hint=hint)


def check_longest_wait(answer: Callable[[Sequence[float], float], Any]) -> None:
    """Exercise 3."""
    cases: dict[str, list[tuple[Sequence[float], float]]] = {
        "every frame is done before the next": [([10.0] * 5, 25.0)],
        "every frame takes too long": [([50.0] * 5, 25.0)],
        "one frame takes too long": [([30.0, 90.0, 30.0, 30.0], 25.0)],
        "frames wait for each other": [([20.0, 70.0, 45.0, 5.0], 30.0)],
    }
    hint = "a frame waits until the one before it is done, and nobody starts before it has arrived"
    check_function("longest_wait", answer, longest_wait, cases, hint=hint)


def check_learn_encoder(answer: Callable[[Tensor, Tensor], Any]) -> None:
    """Exercise 4: the answer is trained on some fields and tried on others."""
    fields, others = torch.randn(2, 8, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    holds = {
        "on unseen fields the mean squared error is below .001": lambda net: (
            F.mse_loss(net(others), motion_and_change(others)).item() < 1e-3
        )
    }
    hint = "make steps against the mean squared error until it is near 0"
    check_made("learn_encoder", answer, (fields, motion_and_change(fields)), holds, hint)
