"""Checks and reference answers of the chapter on key timestamps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.cfad import keyframes
from stad_lite.exercises.checks import check_function, check_made, check_that, check_value

__all__ = [
    "check_is_half",
    "check_walk_keys",
    "check_turning_tube",
    "check_prune",
    "check_train_selector",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def is_half(i: int, length: int, count: int) -> bool:
    """Tell whether stamp i of a tube lies half-way between two frames.

    >>> is_half(1, 7, 5), is_half(1, 7, 16)
    (True, False)
    """
    return Fraction(i * (length - 1), count - 1) % 1 == Fraction(1, 2)


def prune(boxes: np.ndarray, keys: list[int], epsilon: float) -> list[int]:
    """Drop inner keys, the least missed first, while the overlap stays larger than epsilon.

    boxes: (n, 4) xyxy pixels
    keys: frames, in any order
    returns: the keys that are left, rising
    """
    kept = sorted(int(key) for key in keys)
    while len(kept) > 2:
        rests = [kept[:i] + kept[i + 1 :] for i in range(1, len(kept) - 1)]
        values = [keyframes.overlap(boxes, np.array(rest), "linear") for rest in rests]
        if max(values) <= epsilon:
            break
        kept = rests[int(np.argmax(values))]
    return kept


def _bent_walk(length: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = 100 + np.cumsum(np.repeat(generator.integers(-5, 6, length // 5 + 1), 5)[:length])
    return np.stack([x, 0 * x, x + 30, 0 * x + 60], -1).astype(np.float64)


def check_is_half(answer: Callable[[int, int, int], Any]) -> None:
    """Exercise 1."""
    cases = {
        "N is 16": [(i, n, 16) for i in range(5) for n in (4, 7, 11)],
        "N is 5": [(i, n, 5) for i in range(5) for n in (4, 7, 11)],
    }
    check_function("is_half", answer, is_half, cases, hint="compare 2 i (n - 1) with N - 1")


def check_walk_keys(answer: Any) -> None:
    """Exercise 2, first part."""
    check_value("keys of a straight walk", answer, 2)


def check_turning_tube(answer: Any) -> None:
    """Exercise 2, second part."""

    def is_walk(boxes: Any) -> bool:
        boxes = np.asarray(boxes, dtype=np.float64)
        return boxes.shape == (31, 4) and bool(np.allclose(boxes[:, 2:] - boxes[:, :2], [20, 40]))

    def has_three(boxes: Any) -> bool:
        return len(keyframes.greedy_keys(np.asarray(boxes, dtype=np.float64), 16, 0.9, "linear")) == 3

    holds = {
        "it is an array (31, 4) of boxes 20 wide and 40 high": is_walk,
        "greedy needs three keys, not more and not fewer": has_three,
    }
    check_that("a tube with three keys", answer, holds, hint="let the actor turn back")


def check_prune(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    walks = [_bent_walk(length, seed) for seed, length in enumerate((20, 45, 61))]
    hint = "leave each inner key out in turn, and drop the one whose rest overlaps most"
    cases = {
        "the keys are those of greedy": [
            (walk, keyframes.greedy_keys(walk, 16, 0.8, "linear"), 0.8) for walk in walks
        ],
        "every stamp is a key": [(walk, keyframes.stamps(len(walk), 16).tolist(), 0.8) for walk in walks],
    }
    check_function("prune", answer, prune, cases, hint=hint, in_place="keys")


def walks(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return steps (count, 1, 30) of actors that keep a speed for five frames, and where it changes."""
    chosen = torch.randint(-5, 6, (count, 6), generator=torch.Generator().manual_seed(seed)).float()
    turns = torch.zeros(count, 30)
    turns[:, 5::5] = (chosen.diff(dim=1) != 0).float()
    return chosen.repeat_interleave(5, 1)[:, None], turns[:, None]


def check_train_selector(answer: Callable[..., Any]) -> None:
    """Exercise 4: the answer is trained on some walks and tried on others."""
    steps, turns = walks(200, seed=1)

    def fires(net: Any, on: int) -> float:
        return float((net(steps)[turns == on] > 0).float().mean())

    holds = {
        "it gives a number for each frame": lambda net: net(steps).shape == turns.shape,
        "of unseen turns it finds 80 % or more": lambda net: fires(net, 1) >= 0.8,
        "it fires on 5 % of unseen other frames, or less": lambda net: fires(net, 0) <= 0.05,
    }
    hint = "the difference of two steps is 0 on a straight walk: a convolution of 3, a ReLU, and one of 1"
    check_made("train_selector", answer, walks(200, seed=0), holds, hint)
