"""Exercises of the chapter on polynomial tubes: reference answers and their checks."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import torch

from stad_lite.boxes import iou
from stad_lite.cfad.trajectory import fit_overlap, normalised_time, powers
from stad_lite.exercises.checks import check_function, check_made

__all__ = [
    "check_gradient_share",
    "check_velocity",
    "check_window",
    "check_order_needed",
    "check_train_theta",
]


def __dir__() -> list[str]:
    return __all__  # no answer shows up in tab completion


HIGHEST = 8
"""The highest order that ``order_needed`` tries."""

THETA = np.array(
    [
        [10.0, 20.0, 30.0, 50.0],
        [4.0, -2.0, 6.0, 1.0],
        [-3.0, 5.0, 0.5, -8.0],
        [2.0, 0.0, -1.0, 4.0],
    ]
)
"""Coefficients of one cubic tube, for the checks."""


def gradient_share(power: int, length: int) -> float:
    """Return the gradient on the coefficient of t^power over that on t^0, for a constant residual.

    power: 0 or more
    length: frames of the tube
    returns: the mean of t^power over the frames, which tends to 1 / (power + 1)
    Source: the derivative of CFAD Eq. 3.

    >>> gradient_share(1, 5), round(gradient_share(2, 3), 3)
    (0.5, 0.417)
    """
    return float((normalised_time(length) ** power).mean())


def velocity(theta: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return how fast the coordinates of a polynomial tube change.

    theta: (k + 1, 4) coefficients
    time: (n,) normalised timestamps
    returns: (n, 4) change of each coordinate per unit of normalised time
    Source: the derivative of CFAD Eq. 1.

    >>> velocity(np.array([[5.0, 0, 2, 2], [4.0, 0, 0, 0]]), np.array([0.0, 1.0])).tolist()
    [[4.0, 0.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]]
    """
    order = len(theta) - 1
    if order == 0:
        return np.zeros((len(time), theta.shape[1]))
    return powers(time, order - 1) @ (np.arange(1, order + 1)[:, None] * theta[1:])


def window(theta: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return the coefficients of a part of a tube on its own normalised time.

    theta: (k + 1, 4) coefficients on the whole tube's time
    start, end: the part, in the whole tube's normalised time
    returns: (k + 1, 4), so that evaluating it at u gives the whole tube at start + (end - start) u

    >>> window(np.array([[1.0], [4.0]]), 0.5, 1.0).tolist()
    [[3.0], [2.0]]
    """
    part = np.zeros_like(theta)
    for j, row in enumerate(theta):
        for i in range(j + 1):
            part[i] += row * comb(j, i) * start ** (j - i) * (end - start) ** i
    return part


def order_needed(boxes: np.ndarray, goal: float) -> int:
    """Return the smallest polynomial order whose least-squares tube overlaps a tube enough.

    boxes: (n, 4) xyxy pixels
    goal: mean IoU over the frames
    returns: between 0 and 8; 8 also where no order reaches the goal
    """
    for order in range(HIGHEST):
        if fit_overlap([boxes], order)[0] >= goal:
            return order
    return HIGHEST


def check_gradient_share(answer: Callable[..., Any]) -> None:
    """Print whether an answer gives the gradient's share of each order."""
    cases = {
        "the power is 0": [(0, 4)],
        "the tube is short": [(1, 5), (2, 3)],
        "the tube is long": [(5, 40), (8, 200)],
    }
    hint = "the residual comes out of the sum; only the mean of t to the power stays"
    check_function("gradient share", answer, gradient_share, cases, hint=hint)


def check_velocity(answer: Callable[..., Any]) -> None:
    """Print whether an answer differentiates a tube of any order."""
    time = np.array([0.0, 0.3, 1.0])
    cases = {
        "the tube is of order 3": [(THETA, time)],
        "the speed is constant (order 1)": [(THETA[:2], time)],
        "the tube stands still (order 0)": [(THETA[:1], time)],
    }
    hint = "the row of t^j turns into j times itself, one power lower"
    check_function("velocity", answer, velocity, cases, hint=hint)


def check_window(answer: Callable[..., Any]) -> None:
    """Print whether an answer moves a tube to the time of a part of it."""
    cases = {
        "the part is the whole tube": [(THETA, 0.0, 1.0)],
        "the part lies inside": [(THETA, 0.25, 0.75)],
        "the part reaches beyond the tube": [(THETA[:2], -0.1, 1.2)],
        "the part runs backwards": [(THETA, 1.0, 0.0)],
    }
    hint = "expand (start + (end - start) u)^j, or fit k + 1 points of the part"
    check_function("window", answer, window, cases, hint=hint, in_place="theta")


def check_order_needed(answer: Callable[..., Any]) -> None:
    """Print whether an answer finds the smallest order that is good enough."""
    time = np.linspace(0.0, 1.0, 30)
    still = np.tile([10.0, 10.0, 40.0, 60.0], (30, 1))
    straight = still + 80 * time[:, None] * [1, 0, 1, 0]
    swing = still + 25 * np.sin(9 * time)[:, None] * [1, 0, 1, 0]
    noisy = still + np.random.default_rng(0).uniform(-9, 9, still.shape)
    cases = {
        "the actor stands still": [(still, 0.99)],
        "the actor walks straight": [(straight, 0.99)],
        "the actor swings": [(swing, 0.7), (swing, 0.95)],
        "no order reaches the goal": [(noisy, 0.95)],
    }
    hint = "try the orders from 0 on and stop at the first that reaches the goal"
    check_function("order needed", answer, order_needed, cases, hint=hint)


def check_train_theta(answer: Callable[..., Any]) -> None:
    """Exercise 5: gradient descent comes close to least squares."""
    time = np.linspace(0.0, 1.0, 30)[:, None]
    boxes = np.array([10.0, 10, 40, 60]) + 40 * time * [1, 0, 1, 0] + 12 * time**2 * [0, 1, 0, 1]
    tube = torch.as_tensor(boxes, dtype=torch.float32)

    def overlap(theta: Any) -> float:
        return float(iou(powers(time[:, 0], 2) @ np.asarray(theta, dtype=np.float64), boxes).mean())

    holds: dict[str, Callable[[Any], bool]] = {
        "it is an array (3, 4)": lambda theta: np.shape(theta) == (3, 4),
        "its boxes overlap the tube by .95 or more": lambda theta: overlap(theta) >= 0.95,
    }
    hint = "coefficients with gradients, smooth L1 over all frames; large steps, as these are pixels"
    check_made("train_theta", answer, (tube,), holds, hint)
