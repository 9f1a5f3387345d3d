"""Polynomial action tubes: CFAD Eq. 1 to 4.

A tube of order k is one polynomial a coordinate, of normalised time in [0, 1]. Coefficients are
``theta`` of shape (k + 1, 4): row j belongs to t^j, the columns to the four coordinates. What the
coordinates are is the caller's choice: xyxy or cxcywh pixels for the oracle (least squares commutes
with any linear change of format), offsets from an anchor for the network (Eq. 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.arrays import Array, as_float, namespace
from stad_lite.errors import StadError

if TYPE_CHECKING:
    import torch


def normalised_time(length: int) -> np.ndarray:
    """Return the normalised timestamps of a tube's frames: 0 at the first, 1 at the last.

    length: number of frames; a single frame lies at 0
    returns: (length,)
    Source: CFAD Eq. 4.

    >>> normalised_time(5)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return np.linspace(0.0, 1.0, length) if length > 1 else np.zeros(length)


def powers(time: Array, order: int) -> Array:
    """Return the vector [1, t, ..., t^k] of each timestamp.

    time: (...)
    returns: (..., order + 1)
    Source: CFAD Eq. 1.
    """
    time = as_float(time)
    xp = namespace(time)
    return xp.stack([time**exponent for exponent in range(order + 1)], -1)


def evaluate(theta: Array, time: Array) -> Array:
    """Return the coordinates of polynomial tubes at any time.

    theta: (..., k + 1, 4) coefficients
    time: (n,) normalised timestamps
    returns: (..., n, 4)
    Source: CFAD Eq. 1.

    >>> evaluate(np.array([[0., 0., 2., 2.], [4., 0., 4., 0.]]), np.array([0., .5]))
    array([[0., 0., 2., 2.],
           [2., 0., 4., 2.]])
    """
    return powers(time, theta.shape[-2] - 1) @ theta


def _orthonormal(length: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis (length, r) of the polynomials on a tube's frames, and its R (r, r).

    A tube of n frames determines n coefficients: r = min(order, n - 1) + 1.
    """
    if order < 0:
        raise StadError(f"the polynomial order is {order}", remedy="give 0 or more")
    q, r = np.linalg.qr(powers(normalised_time(length), min(order, length - 1)))
    return q, r


def fit(coordinates: np.ndarray, order: int) -> np.ndarray:
    """Return the least-squares coefficients of one tube.

    coordinates: (n, 4) one row a frame
    order: k; a tube with fewer than k + 1 frames is interpolated, its higher coefficients are 0
    returns: (order + 1, 4) theta
    Source: CFAD Eq. 1 and 4; the least-squares fit is the best tube of this order.

    >>> fit(np.array([[0., 0, 2, 2], [2., 0, 4, 2], [4., 0, 6, 2]]), order=1).round(6) + 0.
    array([[0., 0., 2., 2.],
           [4., 0., 4., 0.]])
    """
    coordinates = np.asarray(coordinates, dtype=np.float64)
    q, r = _orthonormal(len(coordinates), order)
    theta = np.zeros((order + 1, coordinates.shape[1]))
    theta[: len(r)] = np.linalg.solve(r, q.T @ coordinates)
    return theta


def fit_many(tubes: Sequence[np.ndarray], order: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return coefficients and fitted coordinates of many tubes of different lengths at once.

    The basis depends on a tube's length alone, so tubes of one length are fitted in one product.

    tubes: arrays (n_i, 4)
    returns: (len(tubes), order + 1, 4) thetas, and the fitted coordinates, one (n_i, 4) a tube
    """
    lengths = np.array([len(tube) for tube in tubes])
    thetas = np.zeros((len(tubes), order + 1, 4))
    fitted: list[np.ndarray] = [np.empty(0)] * len(tubes)
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        q, r = _orthonormal(int(length), order)
        projected = q.T @ np.stack([np.asarray(tubes[int(i)], dtype=np.float64) for i in members])
        thetas[members, : len(r)] = np.linalg.solve(r, projected)
        for member, curve in zip(members, q @ projected, strict=True):
            fitted[member] = curve
    return thetas, fitted


def fit_overlap(tubes: Sequence[np.ndarray], order: int) -> np.ndarray:
    """Return how well the best polynomial of an order covers each tube: the mean IoU over its frames.

    tubes: arrays (n_i, 4) xyxy pixels
    returns: (len(tubes),) in [0, 1]
    """
    _, fitted = fit_many(tubes, order)
    return mean_iou(fitted, tubes)


def mean_iou(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over frames of the box IoU of tubes pair by pair (equal lengths).

    a, b: arrays (n_i, 4) xyxy pixels
    returns: (len(a),)
    """
    lengths = np.array([len(tube) for tube in b])
    if not len(lengths):
        return np.zeros(0)
    overlap = box_ops.iou(np.concatenate(list(a)), np.concatenate(list(b)))
    return np.add.reduceat(overlap, np.cumsum(lengths) - lengths) / lengths


def encode_tube(boxes: Array, anchor: Array) -> Array:
    """Return a tube's boxes as offsets from one anchor, the targets of the regression.

    boxes: (..., n, 4) xyxy pixels
    anchor: (..., 4) xyxy pixels
    returns: (..., n, 4) offsets
    Source: CFAD Eq. 3 (``enc``).
    """
    return box_ops.encode(boxes, anchor[..., None, :])


def decode_tube(theta: Array, anchor: Array, time: Array) -> Array:
    """Return the boxes of polynomial tubes that are given relative to anchors.

    theta: (..., k + 1, 4) coefficients of the offsets
    anchor: (..., 4) xyxy pixels
    time: (n,) normalised timestamps
    returns: (..., n, 4) xyxy pixels; the polynomial is evaluated first and decoded then
    Source: CFAD Eq. 6.
    """
    return box_ops.decode(evaluate(theta, time), anchor[..., None, :])


def tube_regression_loss(
    theta: torch.Tensor,
    anchors: torch.Tensor,
    tubes: torch.Tensor,
    lengths: torch.Tensor,
    number: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the regression loss of positive anchors against their whole tubes.

    The squared distance between predicted and encoded offsets, summed over the four coordinates,
    averaged over the tube's frames (1 / T_A of Eq. 3) and over the positives (1 / |B+| of Eq. 2).

    theta: (p, k + 1, 4) predicted coefficients, one tube an anchor
    anchors: (p, 4) xyxy pixels
    tubes: (p, t, 4) xyxy pixels of the matched tubes, padded at the end with any valid boxes
    lengths: (p,) frames of each tube, between 1 and t
    number: () |B+|, p unless it is given
    returns: () loss; 0 with a gradient where there is no positive
    Source: CFAD Eq. 2, 3 and 4.
    """
    if len(theta) == 0:
        return theta.sum() * 0
    steps = namespace(theta).arange(tubes.shape[1], device=theta.device, dtype=theta.dtype)
    time = (steps / (lengths[:, None] - 1).clip(1)).clip(0, 1)
    predicted = powers(time, theta.shape[1] - 1) @ theta
    distance = (predicted - encode_tube(tubes, anchors)).square().sum(-1)
    inside = steps < lengths[:, None]
    return ((distance * inside).sum(-1) / lengths).sum() / (len(theta) if number is None else number)
