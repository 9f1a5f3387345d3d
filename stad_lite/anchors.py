"""Boxes and segments that stand before any image is seen: anchors, initial proposals, default boxes.

All boxes are float64 xyxy, in pixels unless a docstring says shares of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stad_lite.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from stad_lite.errors import FormatError


def grid_anchors(sizes: np.ndarray, height: int, width: int, stride: float) -> np.ndarray:
    """Return anchors centred on every cell of a map, row by row, all sizes of a cell together.

    sizes: (k, 2) widths and heights in pixels
    height, width: of the map, in cells
    stride: pixels per cell; the first centre lies at stride / 2
    returns: (height * width * k, 4) xyxy pixels
    Source: Faster R-CNN Sec. 3.1.1.

    >>> grid_anchors(np.array([[8., 4.]]), height=1, width=2, stride=16)
    array([[ 4.,  6., 12., 10.],
           [20.,  6., 28., 10.]])
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    centres = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 1, 2)
    centres = np.broadcast_to((centres + 0.5) * stride, (height * width, len(sizes), 2))
    boxes = np.concatenate([centres, np.broadcast_to(sizes, centres.shape)], -1)
    return cxcywh_to_xyxy(boxes.reshape(-1, 4))


def ratio_sizes(scales: Sequence[float], ratios: Sequence[float] = (0.5, 1.0, 2.0)) -> np.ndarray:
    """Return (scales * ratios, 2) widths and heights of area scale^2 and height / width = ratio.

    Source: Faster R-CNN Sec. 3.1.1; PCSC takes the pyramid's anchors (one scale a level).

    >>> ratio_sizes([32.], [1., 4.])
    array([[32., 32.],
           [16., 64.]])
    """
    root = np.sqrt(np.asarray(ratios, dtype=np.float64))
    side = np.asarray(scales, dtype=np.float64)[:, None]
    return np.stack([side / root, side * root], -1).reshape(-1, 2)


def temporal_anchors(lengths: Sequence[float], steps: int, stride: float) -> np.ndarray:
    """Return segments (steps * lengths, 2) centred on every step, in the unit of stride and lengths.

    Source: R-C3D Sec. 3.2, which CFAD's temporal proposals are similar to.

    >>> temporal_anchors([8., 16.], steps=2, stride=8)
    array([[ 0.,  8.],
           [-4., 12.],
           [ 8., 16.],
           [ 4., 20.]])
    """
    centres = (np.arange(steps, dtype=np.float64)[:, None] + 0.5) * stride
    half = np.asarray(lengths, dtype=np.float64) / 2
    return np.stack([centres - half, centres + half], -1).reshape(-1, 2)


def shape_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of box sizes (..., 2), their corners laid on each other."""
    shared = np.minimum(a, b).prod(-1)
    return shared / (a.prod(-1) + b.prod(-1) - shared)


def kmeans_sizes(
    sizes: np.ndarray, clusters: int, seed: int = 0, restarts: int = 5, rounds: int = 100
) -> np.ndarray:
    """Return the sizes that stand for many: k-means with the distance 1 - IoU.

    Seeds are drawn one after another with a chance that grows with the distance squared (k-means++); of
    several restarts the one with the highest mean best IoU is kept.

    sizes: (n, 2) widths and heights above 0, pixels or shares of the frame
    returns: (clusters, 2) by rising area
    raises: FormatError for fewer different sizes than clusters, and for sizes without extent
    Source: YOLO9000 Sec. 2 (dimension clusters), as CFAD Sec. 4.1 uses it with six.

    >>> kmeans_sizes(np.array([[10., 20.], [12., 20.], [40., 40.], [40., 44.]]), clusters=2)
    array([[11., 20.],
           [40., 42.]])
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise FormatError("sizes are not (n, 2) numbers above 0", remedy="give widths and heights")
    if len(np.unique(sizes, axis=0)) < clusters:
        raise FormatError(f"fewer than {clusters} different sizes", remedy="ask for fewer clusters")
    random = np.random.default_rng(seed)
    found = [_settle(sizes, _spread_seeds(sizes, clusters, random), rounds) for _ in range(restarts)]
    best = max(found, key=lambda centres: shape_iou(sizes[:, None], centres).max(1).mean())
    return best[np.argsort(best.prod(1))]


def _settle(sizes: np.ndarray, centres: np.ndarray, rounds: int) -> np.ndarray:
    for _ in range(rounds):
        before, centres = centres, _means(sizes, shape_iou(sizes[:, None], centres).argmax(1), centres)
        if np.array_equal(before, centres):
            break
    return centres


def _spread_seeds(sizes: np.ndarray, clusters: int, random: np.random.Generator) -> np.ndarray:
    chosen = [int(random.integers(len(sizes)))]
    while len(chosen) < clusters:
        distance = 1 - shape_iou(sizes[:, None], sizes[chosen]).max(1)
        distance[distance < 1e-12] = 0  # what is chosen already
        chosen.append(int(random.choice(len(sizes), p=distance**2 / (distance**2).sum())))
    return sizes[chosen]


def _means(sizes: np.ndarray, cluster: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster; an empty one keeps its centre."""
    counts = np.bincount(cluster, minlength=len(centres))[:, None]
    sums = np.stack([np.bincount(cluster, sizes[:, i], minlength=len(centres)) for i in (0, 1)], 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), centres)


def square_grid(side: float, step: float) -> np.ndarray:
    """Return as many squares of one side, a step apart, as fit into the unit square, centred as a whole.

    They are counted before they are placed: adding up steps in floating point may lose the last row.

    side, step: shares of the frame
    returns: (n, 4) xyxy shares, x-major

    >>> len(square_grid(1 / 3, 1 / 6))
    25
    """
    count = int((1 - side) / step + 1e-9) + 1
    starts = (1 - side - (count - 1) * step) / 2 + step * np.arange(count)
    x, y = (axis.ravel() for axis in np.meshgrid(starts, starts, indexing="ij"))
    return np.stack([x, y, x + side, y + side], -1)


def initial_boxes(grids: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return several square grids one after another: the 2-D boxes of STEP's initial proposals.

    grids: (side, step) of each, shares of the frame: ``GRID11``, ``GRID34`` or one's own
    returns: (n, 4) xyxy shares; multiply by the frame's sides and repeat in time for cuboids
    Source: STEP Sec. 3.1 (a coarse-scale grid of boxes, replicated across time).

    >>> len(initial_boxes(GRID11)), len(initial_boxes(GRID34))
    (11, 34)
    """
    return np.concatenate([square_grid(side, step) for side, step in grids])


GRID34 = ((0.75, 0.125), (0.5, 0.125))
"""STEP's 34 initial boxes for AVA, as in its authors' code: 9 of three quarters of the frame, 25 of half."""
GRID11 = ((1.0, 1.0), (0.75, 1.0), (0.5, 0.25))
"""11 initial boxes for UCF101: the frame, three quarters of it in the middle, 9 halves.

STEP's Figure 2 shows eleven without their places, so these are our choice. With every 15th annotated box
of UCF101-24 their mean best IoU is .356, and .800 of the boxes are met at .2 (the 34: .374 and .808); that
is what tests/test_anchors.py counts.
"""


@dataclass(frozen=True)
class DefaultBoxLayout:
    """Where the default boxes of a single-stage detector stand and how large they are.

    image: side of the square input in pixels
    maps: side of each map in cells
    steps: pixels per cell of each map
    smallest, largest: side of a map's square box, and the second one's partner, in pixels
    ratios: aspect ratios besides 1 of each map; each also stands on its head
    """

    image: int
    maps: tuple[int, ...]
    steps: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]

    @property
    def per_cell(self) -> tuple[int, ...]:
        """Boxes of one cell of each map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.ratios)


RFB300 = DefaultBoxLayout(
    image=300,
    maps=(38, 19, 10, 5, 3, 1),
    steps=(8, 16, 32, 64, 100, 300),
    smallest=(30, 60, 111, 162, 213, 264),
    largest=(60, 111, 162, 213, 264, 315),
    ratios=((2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
)
"""The 11,620 default boxes of RFB Net at 300 pixels, which the flow sub-network's detector uses."""


def default_boxes(layout: DefaultBoxLayout = RFB300) -> np.ndarray:
    """Return the default boxes of all maps, map by map, row by row, a cell's boxes together.

    A cell has the square of the smallest side, the square of the geometric mean of smallest and largest,
    then each ratio and its inverse. Centres and sides are cut to the image's; a box may reach over its edge.

    returns: (n, 4) xyxy pixels
    Source: SSD Sec. 2.2, with RFB Net's ratios.

    >>> default_boxes(RFB300).shape
    (11620, 4)
    """
    found = []
    levels = (layout.maps, layout.steps, layout.smallest, layout.largest, layout.ratios)
    for cells, step, small, large, ratios in zip(*levels, strict=True):
        sides = [(small, small), (np.sqrt(small * large),) * 2]
        for ratio in ratios:
            root = np.sqrt(ratio)
            sides += [(small * root, small / root), (small / root, small * root)]
        found.append(grid_anchors(np.array(sides), cells, cells, step))
    return cxcywh_to_xyxy(xyxy_to_cxcywh(np.concatenate(found)).clip(0, layout.image))
