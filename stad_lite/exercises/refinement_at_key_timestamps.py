"""Checks and reference answers of the chapter on refinement at key timestamps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function

__all__ = [
    "check_smallest_sigma",
    "check_looks",
    "check_alpha_for",
    "check_arrives",
    "check_replaced",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def smallest_sigma(coarse: Sequence[float], truth: Sequence[float]) -> float:
    """Return the smallest sigma whose search area holds the centre of the true box (CFAD Eq. 7).

    coarse, truth: x1, y1, x2, y2 in pixels

    >>> smallest_sigma([0, 0, 10, 20], [6, 0, 10, 20])
    0.3
    """
    apart = [abs(truth[i] + truth[i + 2] - coarse[i] - coarse[i + 2]) / 2 for i in (0, 1)]
    return float(max(apart[0] / (coarse[2] - coarse[0]), apart[1] / (coarse[3] - coarse[1])))


def looks(chances: np.ndarray, number: np.ndarray, alpha: float) -> int:
    """Return how many samples the box proposals of a clip are made at.

    chances: (spans, N) importance in [0, 1]
    number: of the span that each tube is of

    >>> looks(np.array([[0.9, 0.1], [0.9, 0.8], [0.7, 0.7]]), np.array([1, 1, 0]), 0.5)
    3
    """
    return int((np.asarray(chances)[np.unique(number)] >= alpha).sum())


def alpha_for(chances: np.ndarray, keys: int) -> float:
    """Return the largest alpha with which at least so many of a span's samples are keys.

    chances: (N,) importance in [0, 1]
    keys: 1 to N

    >>> alpha_for(np.array([0.9, 0.2, 0.4]), 2)
    0.4
    """
    return float(np.sort(chances)[::-1][keys - 1])


def arrives(times: np.ndarray, moved: int, at: float) -> float:
    """Return the share of a knot's shift that a linear interpolation shows at a time.

    times: (n,) rising times of the knots
    moved: number of the knot that is shifted, all others stay
    at: time between the first knot and the last one

    >>> arrives(np.array([0.0, 2.0, 4.0]), 1, 1.5)
    0.75
    """
    return float(np.interp(at, times, np.eye(len(times))[moved]))


def check_smallest_sigma(answer: Callable[[Sequence[float], Sequence[float]], Any]) -> None:
    """Exercise 1."""
    cases = {
        "the coarse box is right": [([0, 0, 10, 20], [0, 0, 10, 20])],
        "the step is to the side": [([0, 0, 10, 20], [6, 0, 10, 20])],
        "the step is to the side and down": [([10, 10, 30, 20], [4, 18, 20, 40])],
        "the step is mostly up": [([10, 10, 30, 50], [14, 4, 20, 8])],
    }
    hint = "both the step to the side and the step up or down must fit, each in sides of the coarse box"
    check_function("smallest_sigma", answer, smallest_sigma, cases, hint=hint)


def check_looks(answer: Callable[[np.ndarray, np.ndarray, float], Any]) -> None:
    """Exercise 2."""
    chances = np.array([[0.9, 0.2, 0.3, 0.95], [0.8, 0.1, 0.1, 0.9], [0.9, 0.5, 0.5, 0.9]])
    cases = {
        "each span has one tube": [(chances, np.array([0, 1, 2]), 0.25)],
        "tubes share a span": [(chances, np.array([2, 0, 2, 2]), 0.25)],
        "a chance is alpha itself": [(chances, np.array([1, 1]), 0.1)],
        "there is no tube": [(chances, np.zeros(0, dtype=int), 0.25)],
    }
    hint = "tubes of one span share its keys; a span without a tube is not looked at"
    check_function("looks", answer, looks, cases, hint=hint)


def check_alpha_for(answer: Callable[[np.ndarray, int], Any]) -> None:
    """Exercise 3."""
    chances = np.array([0.95, 0.11, 0.3, 0.24, 0.24, 0.4, 0.97])
    hint = "a sample is a key at alpha itself, too"
    cases = {
        "one key is wanted": [(chances, 1)],
        "several are wanted": [(chances, 2), (chances, 4)],
        "two chances are equal": [(chances, 5)],
        "all are wanted": [(chances, 7)],
    }
    check_function("alpha_for", answer, alpha_for, cases, hint=hint)


def check_arrives(answer: Callable[[np.ndarray, int, float], Any]) -> None:
    """Exercise 4."""
    times = np.array([2.0, 4.0, 7.0, 8.0])
    places = {"at a knot": (2.0, 8.0), "between two knots": (3.5, 5.0, 7.25)}
    cases = {
        f"the time lies {words}": [(times, moved, at) for moved in range(4) for at in some]
        for words, some in places.items()
    }
    hint = "nothing arrives beyond the two neighbouring knots"
    check_function("arrives", answer, arrives, cases, hint=hint)


def replaced(
    times: np.ndarray, coarse: np.ndarray, keys: Sequence[int], refined: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """Return boxes of the tube whose coarse boxes at keys are replaced (CFAD Sec. 3.4), on straight lines.

    times: (n,) rising times of the samples
    coarse: (n, 4), refined: (len(keys), 4) xyxy pixels
    keys: numbers of the samples that were refined
    at: (m,) times
    returns: (m, 4)
    """
    boxes = np.array(coarse, dtype=np.float64)
    boxes[list(keys)] = refined
    return np.stack([np.interp(at, times, column) for column in boxes.T], axis=1)


def check_replaced(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    random = np.random.default_rng(0)
    times, at = np.array([2.0, 4.0, 7.0, 8.0]), np.arange(2.0, 9.0)
    coarse, refined = random.uniform(0, 60, (2, 4, 4))
    cases: dict[str, list[tuple[Any, ...]]] = {
        "nothing was refined": [(times, coarse, [], refined[:0], at)],
        "one sample was refined": [(times, coarse, [1], refined[1:2], at)],
        "several samples were refined": [(times, coarse, [3, 0], refined[:2], at)],
    }
    hint = "put the refined boxes into a copy, then interpolate each coordinate"
    check_function("replaced", answer, replaced, cases, hint=hint)
