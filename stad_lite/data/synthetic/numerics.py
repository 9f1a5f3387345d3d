"""Arithmetic that gives the same bits on every machine.

Sums, products, quotients and square roots of floats are the same everywhere; sines, cosines and
exponentials may differ in the last bit from one maths library to the next, so they are rounded to a
grid here before anything is computed from them. No sum over an axis (whose order is free) and no
matrix product reaches a pixel or a box.
"""

from __future__ import annotations

import numpy as np

GRID = 1e9
"""Steps per unit of the grid on which transcendental results are rounded."""


def on_grid(values: np.ndarray) -> np.ndarray:
    """Return the values rounded to multiples of 1 / ``GRID``."""
    return np.rint(np.asarray(values, dtype=np.float64) * GRID) / GRID


def sine(angle: np.ndarray | float) -> np.ndarray:
    """Return the sine on the grid. angle: any shape, radians"""
    return on_grid(np.sin(angle))


def cosine(angle: np.ndarray | float) -> np.ndarray:
    """Return the cosine on the grid. angle: any shape, radians"""
    return on_grid(np.cos(angle))


def exponential(power: np.ndarray | float) -> np.ndarray:
    """Return e to the power on the grid. power: any shape"""
    return on_grid(np.exp(power))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return one uniform draw from [low, high)."""
    return low + (high - low) * float(rng.random())


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """Return one uniform whole number from low to high, both included."""
    return low + min(int(rng.random() * (high - low + 1)), high - low)


def between_knots(knots: np.ndarray, spacing: float, count: int, smooth: bool = True) -> np.ndarray:
    """Return values at 0, 1, ..., count - 1 between knots that stand ``spacing`` apart.

    knots: (n, ...) with (n - 1) * spacing >= count - 1
    smooth: with slope 0 at the knots, else straight lines between them
    returns: (count, ...)

    >>> between_knots(np.array([0.0, 1.0, 0.0]), spacing=2, count=4)
    array([0. , 0.5, 1. , 0.5])
    """
    place = np.arange(count) / spacing
    left = np.minimum(np.floor(place).astype(np.int64), len(knots) - 2)
    part = (place - left).reshape((count,) + (1,) * (knots.ndim - 1))
    weight = part * part * (3.0 - 2.0 * part) if smooth else part
    return knots[left] + weight * (knots[left + 1] - knots[left])


def wander(
    rng: np.random.Generator, count: int, spacing: int, columns: int = 2, smooth: bool = True
) -> np.ndarray:
    """Return a bounded random walk in [-1, 1]: uniform knots, interpolated. returns: (count, columns)"""
    knots = 2.0 * rng.random((count // spacing + 2, columns)) - 1.0
    return between_knots(knots, spacing, count, smooth)


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Return the colour. hue: turns; saturation, value: in [0, 1]; returns: (3,) in [0, 1]

    >>> hsv_to_rgb(1 / 3, 1.0, 1.0)
    array([0., 1., 0.])
    """
    sector = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    ramp = np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0)
    return value - value * saturation * ramp
