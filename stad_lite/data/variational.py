"""Optical flow by minimising an energy: Brox et al., High Accuracy Optical Flow Estimation (2004).

The energy is robust in three terms: constant grey values, constant gradients (weight ``gamma``) and a
smooth flow (weight ``alpha``), each under its own psi(s) = sqrt(s + eps^2) (one psi for both data terms
in the paper; separate ones are Bruhn and Weickert's, 2005). It is minimised from coarse to fine;
at each size the second frame is warped by the flow found so far, psi' is held fixed while the linear
equations for the increment are relaxed, and then renewed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stad_lite.data.transforms import resize

EPSILON = 1e-3


@dataclass(frozen=True)
class Brox:
    """The solver; call it with two frames.

    alpha: weight of smoothness
    gamma: weight of constant gradients
    ratio: side of each size of the pyramid over the next finer one
    least: pixels of the shorter side at the coarsest size
    sigma: pixels of the smoothing of the frames beforehand
    warps: how often the second frame is warped at each size
    updates: how often psi' is renewed at each warp
    sweeps: of successive over-relaxation after each renewal
    relaxation: between 1 and 2
    Source: Brox et al. 2004, Eq. 4 and section 3; the papers' own input flow.

    >>> frame = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    >>> Brox()(frame, frame).shape
    (24, 32, 2)
    """

    alpha: float = 150.0
    gamma: float = 10.0
    ratio: float = 0.75
    least: int = 16
    sigma: float = 0.8
    warps: int = 3
    updates: int = 3
    sweeps: int = 10
    relaxation: float = 1.9

    def __call__(self, frame_a: np.ndarray, frame_b: np.ndarray) -> np.ndarray:
        """Return the flow from one frame to the next.

        frame_a, frame_b: (h, w, 3) uint8 RGB or (h, w)
        returns: (h, w, 2) float32 pixels right and down
        """
        first, second = (_smoothed_grey(frame, self.sigma) for frame in (frame_a, frame_b))
        height, width = first.shape
        flow = np.zeros((1, 1, 2), np.float32)
        for h, w in self.sizes(height, width):
            factor = np.array([w / flow.shape[1], h / flow.shape[0]], np.float32)
            flow = resize(flow, h, w) * factor
            small_first, small_second = (resize(image[..., None], h, w)[..., 0] for image in (first, second))
            for _ in range(self.warps):
                flow = flow + self._increment(small_first, small_second, flow)
        return flow

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the (height, width) of the pyramid, coarse to fine."""
        steps = max(0, int(np.log(self.least / min(height, width)) / np.log(self.ratio)))
        scales = [self.ratio**step for step in range(steps, -1, -1)]
        return [(max(2, round(height * s)), max(2, round(width * s))) for s in scales]

    def _increment(self, first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """The change of flow after one warp of the second frame."""
        data = _Data.between(first, second, flow)
        u, v = flow[..., 0], flow[..., 1]
        du, dv = np.zeros_like(u), np.zeros_like(v)
        for _ in range(self.updates):
            system = data.linearised(du, dv, self.gamma)
            edges = _smoothness(u + du, v + dv, self.alpha)
            _relax(du, dv, u, v, system, edges, self.sweeps, self.relaxation)
        return np.stack([du, dv], -1)


def _smoothed_grey(frame: np.ndarray, sigma: float) -> np.ndarray:
    frame = np.asarray(frame, np.float32)
    grey = frame @ np.array([0.299, 0.587, 0.114], np.float32) if frame.ndim == 3 else frame
    return ndimage.gaussian_filter(grey, sigma, mode="nearest")


_KERNEL = np.array([1, -8, 0, 8, -1], np.float32) / 12


def _derivatives(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slopes to the right and down."""
    right = ndimage.correlate1d(image, _KERNEL, axis=1, mode="nearest")
    return right, ndimage.correlate1d(image, _KERNEL, axis=0, mode="nearest")


def warp(image: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image looked up where the flow points, and where that lies inside.

    image: (h, w) float
    flow: (h, w, 2) pixels right and down
    returns: (h, w) image by cubic splines, (h, w) bool
    """
    height, width = image.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ndimage.map_coordinates(image, [y, x], order=3, mode="nearest", prefilter=True), inside


@dataclass(frozen=True)
class _Data:
    """Slopes and differences of grey value and gradient, one row a constraint: a du + b dv + c = 0.

    grey: (3, h, w) Ix, Iy, Iz
    gradient: (2, 3, h, w) the same of Ix and of Iy
    inside: (h, w) where the second frame is seen
    """

    grey: np.ndarray
    gradient: np.ndarray
    inside: np.ndarray

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> _Data:
        warped, inside = warp(second, flow)
        slopes_first, slopes_warped = _derivatives(first), _derivatives(warped)
        ix, iy = ((a + b) / 2 for a, b in zip(slopes_first, slopes_warped, strict=True))
        (ixx, ixy), (_, iyy) = _derivatives(ix), _derivatives(iy)
        ixt, iyt = (b - a for a, b in zip(slopes_first, slopes_warped, strict=True))
        gradient = np.stack([np.stack([ixx, ixy, ixt]), np.stack([ixy, iyy, iyt])])
        return cls(np.stack([ix, iy, warped - first]), gradient, inside)

    def linearised(self, du: np.ndarray, dv: np.ndarray, gamma: float) -> tuple[np.ndarray, ...]:
        """The entries a11, a12, a22, b1, b2 of the data term's normal equations, with psi' held fixed."""
        totals = np.zeros((5, *du.shape), np.float32)
        for rows, weight in ((self.grey[None], 1.0), (self.gradient, gamma)):
            residual = rows[:, 2] + rows[:, 0] * du + rows[:, 1] * dv
            robust = weight * self.inside / np.sqrt((residual**2).sum(0) + EPSILON**2)
            for place, (i, j) in enumerate(((0, 0), (0, 1), (1, 1), (0, 2), (1, 2))):
                totals[place] += robust * (rows[:, i] * rows[:, j]).sum(0)
        return tuple(totals)


def _smoothness(u: np.ndarray, v: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """alpha psi' between each pixel and its right, and its lower, neighbour; 0 across the border."""
    squares = np.zeros_like(u)
    for part in (u, v):
        for axis in (0, 1):
            squares += np.gradient(part, axis=axis) ** 2
    weight = alpha / np.sqrt(squares + EPSILON**2)
    right, down = np.zeros_like(weight), np.zeros_like(weight)
    right[:, :-1] = (weight[:, :-1] + weight[:, 1:]) / 2
    down[:-1] = (weight[:-1] + weight[1:]) / 2
    return right, down


def _relax(
    du: np.ndarray,
    dv: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    system: tuple[np.ndarray, ...],
    edges: tuple[np.ndarray, np.ndarray],
    sweeps: int,
    relaxation: float,
) -> None:
    """Successive over-relaxation on du and dv in place, black pixels after red ones as on a chess board."""
    a11, a12, a22, b1, b2 = system
    right, down = edges
    left, up = np.zeros_like(right), np.zeros_like(down)
    left[:, 1:], up[1:] = right[:, :-1], down[:-1]
    total = right + left + down + up
    fixed_u, fixed_v = (_neighbours(part, right, left, down, up) - total * part for part in (u, v))
    row, column = np.ogrid[: du.shape[0], : du.shape[1]]
    for _ in range(sweeps):
        for parity in (0, 1):
            here = (row + column) % 2 == parity
            rest = fixed_u - b1 - a12 * dv + _neighbours(du, right, left, down, up)
            np.copyto(du, (1 - relaxation) * du + relaxation * rest / (a11 + total + 1e-9), where=here)
            rest = fixed_v - b2 - a12 * du + _neighbours(dv, right, left, down, up)
            np.copyto(dv, (1 - relaxation) * dv + relaxation * rest / (a22 + total + 1e-9), where=here)


def _neighbours(
    field: np.ndarray, right: np.ndarray, left: np.ndarray, down: np.ndarray, up: np.ndarray
) -> np.ndarray:
    """The four neighbours' values, weighted."""
    out = np.zeros_like(field)
    out[:, :-1] += right[:, :-1] * field[:, 1:]
    out[:, 1:] += left[:, 1:] * field[:, :-1]
    out[:-1] += down[:-1] * field[1:]
    out[1:] += up[1:] * field[:-1]
    return out
