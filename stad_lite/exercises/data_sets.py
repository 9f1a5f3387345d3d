"""Checks and reference answers of the chapter on the data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function, check_made

__all__ = [
    "check_right_edges",
    "check_counts",
    "check_most_at_once",
    "check_smallest_window",
    "check_divide",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def right_edges(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return x + w of boxes that are stored in small unsigned integers, without wrapping around.

    x, w: (n,) uint8 or uint16
    returns: (n,) float64

    >>> right_edges(np.array([250], np.uint8), np.array([20], np.uint8)).tolist()
    [270.0]
    """
    return x.astype(np.float64) + w


def counts(start: float, end: float, window: float, length: float) -> bool:
    """Tell whether an instance counts in a window: more than half of it lies inside.

    start, end: seconds of the instance
    window, length: first second and seconds of the window
    Source: SP-TAD Sec. 4.2, footnote on tIoA; an instance without length never counts.

    >>> counts(20, 30, 0, 25.6), counts(20, 30, 0, 25), counts(3, 3, 0, 25.6)
    (True, False, False)
    """
    inside = min(end, window + length) - max(start, window)
    return bool(inside > 0.5 * (end - start))


def most_at_once(spans: np.ndarray) -> int:
    """Return the largest number of spans [start, end) that hold one moment.

    spans: (n, 2) seconds; a span without length holds no moment

    >>> most_at_once(np.array([[0, 4], [4, 6], [1, 3.0]]))
    2
    """
    spans = np.asarray(spans, dtype=np.float64).reshape(-1, 2)
    inside = (spans[:, 0] <= spans[:, :1]) & (spans[:, :1] < spans[:, 1])
    return int(inside.sum(1).max(initial=0))


def smallest_window(durations: np.ndarray, share: float, rate: float = 10.0) -> int:
    """Return the fewest frames of a window that is longer than a share of the instances.

    durations: (n,) seconds
    share: of the instances that must be shorter than the window
    rate: frames a second

    >>> smallest_window(np.array([1.0, 2, 3, 4]), 0.5)
    21
    """
    frames = np.sort(np.asarray(durations, dtype=np.float64)) * rate
    needed = int(np.ceil(share * len(frames) - 1e-9))
    return int(np.floor(frames[needed - 1] + 1e-9)) + 1 if needed else 1


def check_right_edges(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    small = np.array([3, 200, 250], np.uint8), np.array([10, 60, 20], np.uint8)
    large = np.array([300], np.uint16), np.array([19], np.uint16)
    cases: dict[str, list[tuple[Any, ...]]] = {
        "the sum fits no byte": [small],
        "the numbers have two bytes": [large],
    }
    check_function("right edges", answer, right_edges, cases, hint="cast before you add")


def check_counts(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    cases: dict[str, list[tuple[Any, ...]]] = {
        "more than half of it lies inside": [(20, 30, 0, 25.6), (20, 30, 12.8, 25.6)],
        "exactly half of it lies inside": [(20, 30, 0, 25)],
        "it does not meet the window": [(40, 50, 0, 25.6), (5, 9, 12.8, 25.6)],
        "it fills the window and is longer than two": [(0, 60, 0, 25.6)],
        "it has no length": [(3, 3, 0, 25.6)],
    }
    check_function("counts", answer, counts, cases, hint="the share of the instance, not of the window")


def check_most_at_once(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    generator = np.random.default_rng(0)
    starts = generator.integers(0, 20, (3, 12))
    cases = {
        "spans overlap": [(np.array([[0, 4], [4, 6], [1, 3.0]]),)],
        "spans only touch": [(np.array([[0, 1], [1, 2.0]]),)],
        "a span has no length": [(np.array([[2, 2.0]]),)],
        "there are many": [(np.stack([s, s + generator.integers(0, 9, 12)], -1) * 1.0,) for s in starts],
    }
    check_function("most at once", answer, most_at_once, cases, hint="look at the starts only")


def check_smallest_window(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    lengths = np.random.default_rng(1).gamma(1.5, 3.0, 200).round(2)
    cases = {
        "an instance is just as long as the window": [(np.array([1.0, 2, 3, 4]), 0.5)],
        "nearly all must be shorter": [(lengths, 0.98), (lengths, 0.8)],
        "all must be shorter": [(lengths, 1.0)],
    }
    check_function("smallest window", answer, smallest_window, cases, hint="sort; shorter than, not equal")


def group(name: str) -> str:
    """Return the group of a video of UCF101: what was cut from one recording.

    >>> group("v_Diving_g01_c03")
    'v_Diving_g01'
    """
    return name.rsplit("_", 1)[0]


def check_divide(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    labels = ("Diving", "Surfing")
    names = [f"v_{label}_g{g:02d}_c{c:02d}" for label in labels for g in range(10) for c in range(4)]
    holds: dict[str, Callable[[Any], bool]] = {
        "there are two lists": lambda parts: len(parts) == 2,
        "every video is in one list, once": lambda parts: sorted([*parts[0], *parts[1]]) == sorted(names),
        "no group is in both lists": lambda parts: not set(map(group, parts[0])) & set(map(group, parts[1])),
        "a fifth to two fifths of each class are in the second": lambda parts: all(
            8 <= sum(label in name for name in parts[1]) <= 16 for label in labels
        ),
    }
    check_made("divide", answer, (names,), holds, hint="choose groups, not videos")
