"""Checks and reference answers of the chapter on one's own video."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function

__all__ = [
    "check_between",
    "check_spans",
    "check_from_mot",
    "check_fewest_keyframes",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def between(frames: list[int], boxes: list[list[float]], frame: int) -> np.ndarray:
    """Return the box of a track on a frame between its keyframes.

    frames: (n,) rising; boxes: (n, 4) xyxy pixels

    >>> between([0, 4], [[0, 0, 2, 2], [8, 0, 10, 2]], 1).tolist()
    [2.0, 0.0, 4.0, 2.0]
    """
    table = np.asarray(boxes, dtype=np.float64)
    return np.array([np.interp(frame, frames, column) for column in table.T])


def spans(frames: list[int], outside: list[bool], end: int) -> list[tuple[int, int]]:
    """Return the spans [start, end) of the tubes of a track.

    frames: (n,) rising, of its keyframes
    outside: (n,) whether the track is not seen from a keyframe on
    end: the first frame after the video

    >>> spans([0, 4, 9], [False, True, False], 12)
    [(0, 4), (9, 12)]
    """
    found, start = [], None
    for frame, gone in zip(frames, outside, strict=True):
        if gone and start is not None:
            found.append((start, frame))
            start = None
        elif not gone and start is None:
            start = frame
    return found if start is None else [*found, (start, end)]


def from_mot(line: str) -> tuple[int, list[float]]:
    """Return the frame from 0 and the half-open xyxy box from 0 of a line that counts both from 1.

    >>> from_mot("3,1,11,21,100,50,1,1,1")
    (2, [10.0, 20.0, 110.0, 70.0])
    """
    frame, _, x, y, width, height = (float(word) for word in line.split(",")[:6])
    return int(frame) - 1, [x - 1, y - 1, x - 1 + width, y - 1 + height]


def fewest_keyframes(places: np.ndarray, tolerance: float) -> int:
    """Return how few keyframes tell a track so that no frame between is farther off than the tolerance.

    places: (n,) of one edge, a number a frame; the first and the last frame are keyframes

    >>> fewest_keyframes(np.array([0.0, 1, 2, 3, 2, 1, 0]), 0.1), fewest_keyframes(np.arange(5.0), 0.1)
    (3, 2)
    """
    count = len(places)
    need = [1] + [count] * (count - 1)
    for end in range(1, count):
        for start in range(end):
            line = np.interp(np.arange(start, end + 1), [start, end], [places[start], places[end]])
            if np.abs(line - places[start : end + 1]).max() <= tolerance:
                need[end] = min(need[end], need[start] + 1)
    return need[-1]


def check_between(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    boxes = [[0, 0, 2, 2], [8, 0, 10, 4], [8, 6, 10, 10]]
    cases = [([3, 7, 12], boxes, frame) for frame in (3, 4, 7, 10, 12)]
    check_function("between keyframes", answer, between, cases, hint="how far along is it, from 0 to 1?")


def check_spans(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    cases = [
        ([0, 4, 9], [False, True, False], 12),
        ([2, 5], [False, False], 9),
        ([2, 5, 7], [True, False, True], 9),
        ([0, 3, 6], [False, True, True], 9),
    ]
    check_function("spans of the tubes", answer, spans, cases, hint="a keyframe that is outside ends a tube")


def check_from_mot(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    lines = ["3,1,11,21,100,50,1,1,1", "1,7,1,1,0.5,8,1", "12,2,30.25,8,4,4,0,-1,-1,-1"]
    check_function(
        "frame and box from MOT text",
        lambda line: _flat(answer(line)),
        lambda line: _flat(from_mot(line)),
        [(line,) for line in lines],
        hint="the place counts from 1, the size does not",
    )


def _flat(found: Any) -> Any:
    """Frame and box in one row; anything else as it is."""
    return [found[0], *found[1]] if isinstance(found, tuple) and len(found) == 2 else found


def check_fewest_keyframes(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    walk = np.cumsum(np.random.default_rng(0).normal(0, 1, 20)).round(2)
    cases = [(np.array([0.0, 1, 2, 3, 2, 1, 0]), 0.1), (np.arange(5.0), 0.1), (walk, 1.0), (walk, 0.25)]
    hint = "the fewest up to a frame, from the fewest up to each one before it"
    check_function("fewest keyframes", answer, fewest_keyframes, cases, hint=hint)
