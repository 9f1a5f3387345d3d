"""Checks and reference answers of the chapter on sparse proposals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function

__all__ = [
    "check_steps_read",
    "check_deltas_between",
    "check_break_even",
    "check_clip_scores",
    "check_two_layers",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


Segment = tuple[float, float]


def steps_read(length: float, window: int, strides: Sequence[int], eta: float) -> float:
    """Return how many steps of its level a proposal reads (SP-TAD Eq. 1, then the lengthening).

    length: of the proposal, in frames
    window: frames
    strides: frames for one step of each level, finest first
    eta: the proposal is lengthened by 1 / eta of its length on either side

    >>> steps_read(128, 256, (2, 4, 8, 16), eta=5)
    22.4
    """
    highest = len(strides) - 1
    level = min(max(math.floor(highest + math.log2(length / window)), 0), highest)
    return length * (1 + 2 / eta) / strides[level]


def deltas_between(segment: Segment, target: Segment) -> tuple[float, float]:
    """Return what a head must predict to turn one segment into another (the inverse of ``refine``).

    >>> [round(x, 3) for x in deltas_between((10.0, 20.0), (10.0, 30.0))]
    [1.0, 0.693]
    """
    (a, b), (c, d) = segment, target
    shift = ((c + d) / 2 - (a + b) / 2) / (b - a)
    return 2.0 * shift, math.log((d - c) / (b - a))


def break_even(proposals: int, channels: int, hidden: int, bins: int) -> float:
    """Return the pyramid steps from which global attention costs more multiplications than the interaction.

    Of the interaction count the two made layers, applying them, and the last layer; of the attention keys
    and values of every step, queries and outputs of every proposal, the products and the weighted sums.

    >>> round(break_even(proposals=50, channels=256, hidden=64, bins=16))
    3137
    """
    made = proposals * channels * 2 * channels * hidden
    applied = proposals * bins * 2 * channels * hidden
    last = proposals * bins * channels * channels
    queries = proposals * 2 * channels * channels
    each_step = 2 * channels * channels + 2 * proposals * channels
    return (made + applied + last - queries) / each_step


def clip_scores(scores: Sequence[Sequence[float]], clip: Sequence[float]) -> tuple[int, int]:
    """Return proposal and class of the best pair once the clip's scores are multiplied in.

    scores: (proposals, classes)
    clip: (classes,)

    >>> clip_scores([[0.6, 0.5], [0.4, 0.2]], [0.5, 0.9])
    (0, 1)
    """
    pairs = [(s * clip[k], -p, -k) for p, row in enumerate(scores) for k, s in enumerate(row)]
    _, proposal, label = max(pairs)
    return -proposal, -label


def check_steps_read(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    four, one = (2, 4, 8, 16), (8,)
    cases: dict[str, list[tuple[Any, ...]]] = {
        "the level lies inside the pyramid": [(128, 256, four, 5), (100, 256, four, 5), (100, 768, four, 10)],
        "the proposal is too short for the finest level": [(20, 256, four, 5), (5, 256, four, 2)],
        "the proposal is as long as the window, or longer": [(256, 256, four, 5), (300, 256, four, 5)],
        "there is one level": [(20, 256, one, 5)],
    }
    hint = "the level is that of the proposal's own length, floored and kept inside the pyramid"
    check_function("steps_read", answer, steps_read, cases, hint=hint)


def check_deltas_between(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    cases = {
        "nothing is to change": [((0.2, 0.6), (0.2, 0.6))],
        "only the place changes": [((5.0, 7.0), (1.0, 3.0))],
        "place and length change": [((10.0, 20.0), (10.0, 30.0)), ((0.0, 1.0), (0.25, 0.5))],
    }
    hint = "the shift counts in lengths of the segment that is moved, times 2; the factor as its log"
    check_function("deltas_between", answer, deltas_between, cases, hint=hint)


def check_break_even(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    cases = {
        "sizes are the paper's": [(50, 256, 64, 16), (100, 256, 64, 16)],
        "the made layers are narrower": [(50, 256, 16, 16)],
        "everything is small": [(20, 64, 16, 8)],
    }
    hint = "set both costs equal; only keys, values, products and sums grow with the steps"
    check_function("break_even", answer, break_even, cases, tolerance=1e-3, hint=hint)


def check_clip_scores(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    cases = {
        "the clip changes the class": [([[0.6, 0.5], [0.4, 0.2]], [0.5, 0.9])],
        "the clip says nothing": [([[0.6, 0.5], [0.4, 0.2]], [1.0, 1.0])],
        "the clip changes the proposal": [([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]], [0.9, 0.1, 0.5])],
    }
    check_function("clip_scores", answer, clip_scores, cases, hint="multiply before you look for the best")


def two_layers(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return features after two layers that are each proposal's own (SP-TAD Sec. 3.3), a ReLU after each.

    features: (n, bins, d)
    first, second: (n, d, h), (n, h, d)
    returns: (n, bins, d)
    """
    layers = zip(features, first, second, strict=True)
    return np.stack([np.maximum(np.maximum(own @ a, 0) @ b, 0) for own, a, b in layers])


def check_two_layers(answer: Callable[..., Any]) -> None:
    """Exercise 5."""
    random = np.random.default_rng(0)

    def given(n: int, bins: int, d: int, h: int) -> tuple[Any, ...]:
        return tuple(random.normal(size=shape) for shape in ((n, bins, d), (n, d, h), (n, h, d)))

    cases = {
        "there is one proposal": [given(1, 4, 3, 2)],
        "there are as many proposals as bins": [given(3, 3, 4, 2)],
        "all sizes differ": [given(5, 8, 4, 2)],
    }
    hint = "a product of matrices for each proposal: einsum 'nbd,ndh->nbh'; a ReLU behind each"
    check_function("two_layers", answer, two_layers, cases, hint=hint)
