"""Checks and reference answers of the chapter on messages between streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stad_lite.exercises.checks import check_function

__all__ = [
    "check_message",
    "check_message_parameters",
    "check_smallest_reduction",
    "check_features_change",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


def message(
    helper: np.ndarray,
    reduce: np.ndarray,
    reduce_bias: np.ndarray,
    restore: np.ndarray,
    restore_bias: np.ndarray,
) -> np.ndarray:
    """Return the message that features send (PCSC Eq. 1): two 1 x 1 convolutions, a ReLU between them.

    helper: (c, h, w)
    reduce, reduce_bias: (n, c), (n,) of the first convolution
    restore, restore_bias: (c, n), (c,) of the second
    returns: (c, h, w)

    >>> message(np.full((1, 1, 1), -3.0), np.eye(1), np.ones(1), np.eye(1), np.full(1, 0.5)).item()
    0.5
    """
    inner = np.einsum("nc,chw->nhw", reduce, helper) + reduce_bias[:, None, None]
    return np.einsum("cn,nhw->chw", restore, np.maximum(inner, 0)) + restore_bias[:, None, None]


def message_parameters(channels: Sequence[int], reduction: int) -> int:
    """Return the parameters of the messages of some levels together, biases counted.

    channels: of each level
    reduction: the first convolution leaves ``channels // reduction``

    >>> message_parameters([8], 4)
    42
    """
    return sum(2 * c * (c // reduction) + c // reduction + c for c in channels)


def smallest_reduction(channels: Sequence[int], budget: int) -> int:
    """Return the smallest whole reduction whose messages have at most ``budget`` parameters.

    returns: 0 where even one channel in the middle is too many

    >>> smallest_reduction([192, 480, 832, 1024], 500_000)
    9
    """
    for reduction in range(1, min(channels) + 1):
        if message_parameters(channels, reduction) <= budget:
            return reduction
    return 0


def features_change(changed: str, stages: int, messages: str) -> list[bool]:
    """Tell which heads see other features, at the same boxes, once one stream's input is another.

    changed: ``rgb`` or ``flow``
    stages: of cooperation after stage 0
    messages: at ``image`` level, ``roi`` level, ``both`` or ``none``
    returns: one for each head: stage 0 of RGB, stage 0 of flow, stage 1, stage 2, ...

    >>> features_change("rgb", 2, "roi")
    [True, False, True, True]
    """
    image, roi = messages in ("both", "image"), messages in ("both", "roi")
    stream = [("rgb", 0), ("flow", 0), *(("rgb" if t % 2 else "flow", t) for t in range(1, stages + 1))]
    return [
        own == changed or (changed == "flow" and image and own == "rgb") or (roi and stage > 0)
        for own, stage in stream
    ]


def check_message(answer: Callable[..., Any]) -> None:
    """Exercise 1."""
    random = np.random.default_rng(0)
    cases = {}
    for c, n, h, w in ((4, 2, 3, 3), (6, 1, 2, 5), (3, 3, 1, 1)):
        shapes = ((c, h, w), (n, c), (n,), (c, n), (c,))
        given = tuple(random.normal(size=shape) for shape in shapes)
        cases[f"maps of {h} x {w} have {c} channels, {n} in the middle"] = [given]
    hint = "reduce, add its bias, cut at zero, restore, add its bias; the ReLU stands between the two"
    check_function("message", answer, message, cases, hint=hint)


def check_message_parameters(answer: Callable[..., Any]) -> None:
    """Exercise 2."""
    cases: dict[str, list[tuple[Any, ...]]] = {
        "levels are alike": [((64, 64), 4)],
        "levels differ": [((192, 480, 832, 1024), 4), ((192, 480, 832, 1024), 16)],
        "the channels are no multiple of the reduction": [((30,), 4)],
    }
    hint = "two matrices a level, and a bias for each channel in the middle and for each that comes out"
    check_function("message_parameters", answer, message_parameters, cases, hint=hint)


def check_smallest_reduction(answer: Callable[..., Any]) -> None:
    """Exercise 3."""
    paper = (192, 480, 832, 1024)
    cases: dict[str, list[tuple[Any, ...]]] = {
        "some reduction fits": [(paper, 500_000), (paper, 100_000)],
        "a reduction fits exactly": [(paper, 1_007_192), ((64, 64), 4_256)],
        "none fits": [(paper, 3_000)],
    }
    hint = "count for 1, 2, 3, ... channels a channel; 0 where nothing fits"
    check_function("smallest_reduction", answer, smallest_reduction, cases, hint=hint)


def check_features_change(answer: Callable[..., Any]) -> None:
    """Exercise 4."""
    cases = {
        f"{changed} changes and messages are sent at {messages}": [(changed, n, messages) for n in (0, 4)]
        for messages in ("none", "image", "roi", "both")
        for changed in ("flow", "rgb")
    }
    hint = "flow reaches RGB's pyramid at image level; at RoI level a stage from 1 on reads both pyramids"
    check_function("features_change", answer, features_change, cases, hint=hint)
