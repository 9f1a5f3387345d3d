"""Checks and reference answers of the chapter that goes from frames to a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.exercises.checks import check_function, check_made, check_value

__all__ = [
    "check_receptive_field",
    "check_bias",
    "check_keep",
    "check_train_head",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def receptive_field(layers: Sequence[tuple[int, int, int]]) -> int:
    """Return how many pixels on a side one cell depends on.

    layers: (kernel, stride, dilation) from the first to the last

    >>> receptive_field([(3, 1, 1), (2, 2, 1), (3, 1, 1)])
    8
    """
    field, step = 1, 1
    for kernel, stride, dilation in layers:
        field += (kernel - 1) * dilation * step
        step *= stride
    return field


BACKBONE = [(3, 1, 1), (2, 2, 1), (3, 1, 1), (3, 1, 1), (2, 2, 1), (3, 1, 1), (3, 1, 2)]
"""The small backbone's layers as ``receptive_field`` takes them."""


def check_receptive_field(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    cases = {
        "there is one layer": [([(3, 1, 1)],), ([(3, 1, 2)],)],
        "a pooling comes first": [([(2, 2, 1), (3, 1, 1)],)],
        "the layers are the backbone's": [(BACKBONE,)],
    }
    check_function("receptive_field", answer, receptive_field, cases, hint="reach times the stride so far")


def check_bias(answer: Any) -> None:
    """Exercise 2."""
    check_value("bias", answer, math.log(0.02 / 0.98), 1e-3, hint="the sigmoid's inverse")


def check_keep(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    random = np.random.default_rng(0)
    corner = random.uniform(0, 40, (12, 2))
    boxes = np.concatenate([corner, corner + random.uniform(8, 30, (12, 2))], 1)
    scores = random.permutation(12) / 12
    touching = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
    cases = {
        "boxes overlap by more than the threshold": [(boxes, scores, 0.3), (boxes, scores, 0.6)],
        "a box overlaps by just the threshold": [(touching, np.array([0.9, 0.8, 0.1]), 0.5)],
        "there is no box": [(boxes[:0], scores[:0], 0.5)],
    }

    def reference(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
        return np.asarray(box_ops.nms(boxes, scores, threshold))

    check_function("keep", answer, reference, cases, hint="compare with those that stay, best first")


def cells(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return features (count, 8) of cells, and which lie on an actor (count,): about one in twenty."""
    features = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return features, (features[:, :2].sum(1) > 2.3).float()


def check_train_head(answer: Callable[..., Any]) -> None:
    """Exercise 4: the answer is trained on some cells and tried on others."""
    features, actor = cells(4000, seed=1)

    def fires(head: Any, on: int) -> float:
        return float((head(features)[actor == on, 0] > 0).float().mean())

    holds = {
        "it gives a number for each cell": lambda head: head(features).shape == (len(features), 1),
        "of unseen actors it finds 80 % or more": lambda head: fires(head, 1) >= 0.8,
        "it fires on 2 % of unseen background, or less": lambda head: fires(head, 0) <= 0.02,
    }
    hint = "binary cross-entropy of the logits; go on until the loss stops falling"
    check_made("train_head", answer, cells(2000, seed=0), holds, hint)
