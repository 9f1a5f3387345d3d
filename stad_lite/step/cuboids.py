"""Initial proposals: a few boxes on a coarse grid, replicated in time to cuboids (STEP Sec. 3.1).

The paper shows 11 boxes in Figure 2 without their places, and its authors' code has 34 for AVA. The sets
below are made by one generator, so that any other can be compared with them by ``best_overlaps``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.anchors import GRID11, GRID34, initial_boxes
from stad_lite.errors import FormatError, StadError

Grid = tuple[float, float, int, int]
"""Boxes of one shape: width and height as shares of the frame, columns, rows."""


def rectangles(width: float, height: float, columns: int, rows: int) -> np.ndarray:
    """Return boxes of one shape spread evenly over the frame, x-major; a single one stands in the middle.

    width, height: shares of the frame
    columns, rows: boxes side by side and one above the other; the outermost touch the frame's edges
    returns: (columns * rows, 4) xyxy shares
    raises: FormatError

    >>> rectangles(0.5, 1.0, 3, 1)
    array([[0.  , 0.  , 0.5 , 1.  ],
           [0.25, 0.  , 0.75, 1.  ],
           [0.5 , 0.  , 1.  , 1.  ]])
    """
    if not (0 < width <= 1 and 0 < height <= 1 and columns >= 1 and rows >= 1):
        raise FormatError(
            f"{columns} x {rows} boxes of {width} x {height} of the frame",
            remedy="give shares in (0, 1] and one box or more along each side",
        )
    across, down = (
        np.linspace(0, 1 - side, count) if count > 1 else np.array([(1 - side) / 2])
        for side, count in ((width, columns), (height, rows))
    )
    x, y = (axis.ravel() for axis in np.meshgrid(across, down, indexing="ij"))
    return np.stack([x, y, x + width, y + height], -1)


def spread(grids: Sequence[Grid]) -> np.ndarray:
    """Return the boxes of several shapes one after another: (n, 4) xyxy shares of the frame."""
    return np.concatenate([rectangles(*grid) for grid in grids])


AVA_EXTRA = ((1 / 3, 1 / 6), (0.25, 0.1875), (0.2, 0.2))
"""Further (side, step) grids of the authors' code: its modes 2, 3 and 4 add one, two or all of them."""

CUBOIDS: dict[str, np.ndarray] = {
    "grid11": initial_boxes(GRID11),
    "grid34": initial_boxes(GRID34),
    "grid59": initial_boxes((*GRID34, *AVA_EXTRA[:1])),
    "grid84": initial_boxes((*GRID34, *AVA_EXTRA[:2])),
    "grid109": initial_boxes((*GRID34, *AVA_EXTRA)),
    "grid5": spread([(1.0, 1.0, 1, 1), (0.6, 0.6, 2, 2)]),
    "quarters11": spread(
        [(0.75, 0.75, 2, 2), (0.5, 0.5, 2, 2), (1.0, 1.0, 1, 1), (0.5, 0.5, 1, 1), (0.25, 0.25, 1, 1)]
    ),
    "thirds11": spread([(1.0, 1.0, 1, 1), (0.5, 0.5, 1, 1), (1 / 3, 1 / 3, 3, 3)]),
    "tall11": spread([(0.35, 0.75, 5, 1), (0.5, 0.6, 3, 2)]),
}
"""Name -> (n, 4) xyxy shares of the frame. ``grid11`` is the default for UCF101-24 and our choice, for the
paper gives no places; ``grid34`` is that of the authors' code for AVA; ``grid59``, ``grid84`` and ``grid109``
are its other modes; ``grid5`` is for the comparison of numbers (Fig. 6b); the other three of eleven are
alternatives to ours."""


def cuboids(boxes: str | np.ndarray, size: tuple[int, int], frames: int) -> np.ndarray:
    """Return the initial proposals of a clip: boxes in pixels, the same on every frame.

    boxes: a name in ``CUBOIDS``, or (n, 4) xyxy shares of the frame
    size: (height, width) in pixels
    frames: of the clip
    returns: (n, frames, 4) xyxy pixels
    raises: StadError for an unknown name
    Source: STEP Sec. 3.1 (B^0).

    >>> cuboids("grid11", (240, 320), 6).shape
    (11, 6, 4)
    """
    if isinstance(boxes, str):
        if boxes not in CUBOIDS:
            raise StadError(
                f"no initial proposals are called {boxes!r}", remedy=f"choose from {', '.join(CUBOIDS)}"
            )
        boxes = CUBOIDS[boxes]
    height, width = size
    pixels = boxes * np.array([width, height, width, height], dtype=np.float64)
    return np.repeat(pixels[:, None], frames, axis=1)


def best_overlaps(shares: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the overlap of each real box with the initial box that fits it best.

    shares: (m, 4) real boxes, xyxy shares of their frames
    boxes: (n, 4) initial boxes, xyxy shares
    returns: (m,) in [0, 1]
    """
    return box_ops.pairwise_iou(np.asarray(shares, dtype=np.float64), boxes).max(1)


def compare(
    shares: np.ndarray, sets: Mapping[str, np.ndarray] | None = None, threshold: float = 0.2
) -> dict[str, dict[str, float]]:
    """Return, for each set of initial boxes, how well it meets real ones.

    shares: (m, 4) real boxes, xyxy shares of their frames
    sets: name -> (n, 4) xyxy shares, ``CUBOIDS`` unless told
    threshold: the overlap from which a real box is met: tau of the first step
    returns: name -> ``boxes``, ``mean_best_iou``, ``recall``
    """
    found = {}
    for name, boxes in (CUBOIDS if sets is None else sets).items():
        best = best_overlaps(shares, boxes)
        found[name] = {
            "boxes": len(boxes),
            "mean_best_iou": float(best.mean()),
            "recall": float((best >= threshold).mean()),
        }
    return found
