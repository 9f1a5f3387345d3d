"""Boxes on one frame: formats, area, overlap, offsets to anchors, non-maximum suppression.

Boxes are float xyxy pixels, half-open: width = x2 - x1, without +1. Every function takes numpy
arrays or torch tensors and returns the same kind.
"""

from __future__ import annotations

import math

from stad_lite.arrays import Array, as_float, namespace, ratio, suppress

MAX_LOG_RATIO = math.log(1000.0 / 16.0)
"""Largest log-size offset that ``decode`` follows (Faster R-CNN practice); beyond it exp overflows."""


def _sides(boxes: Array) -> tuple[Array, Array]:
    """Widths and heights, zero where a box is inverted."""
    return (boxes[..., 2] - boxes[..., 0]).clip(0), (boxes[..., 3] - boxes[..., 1]).clip(0)


def area(boxes: Array) -> Array:
    """Return the area of each box; inverted boxes have area 0.

    boxes: (..., 4) xyxy pixels
    returns: (...) square pixels

    >>> area(np.array([[0., 0., 4., 3.], [5., 5., 2., 9.]]))
    array([12.,  0.])
    """
    width, height = _sides(as_float(boxes))
    return width * height


def _intersection(a: Array, b: Array) -> Array:
    xp = namespace(a, b)
    width = xp.minimum(a[..., 2], b[..., 2]) - xp.maximum(a[..., 0], b[..., 0])
    height = xp.minimum(a[..., 3], b[..., 3]) - xp.maximum(a[..., 1], b[..., 1])
    return width.clip(0) * height.clip(0)


def iou(a: Array, b: Array) -> Array:
    """Return the intersection over union of boxes pair by pair; 0 where both have no area.

    a, b: (..., 4) xyxy pixels, broadcast against each other
    returns: (...) in [0, 1]

    >>> iou(np.array([0., 0., 2., 2.]), np.array([[1., 0., 3., 2.], [2., 0., 4., 2.]])).round(3)
    array([0.333, 0.   ])
    """
    a, b = as_float(a), as_float(b)
    shared = _intersection(a, b)
    return ratio(shared, area(a) + area(b) - shared)


def mirrored(boxes: Array, width: float) -> Array:
    """Return boxes as a mirror shows them.

    boxes: (..., 4) xyxy pixels
    width: of the frame in pixels

    >>> mirrored(np.array([1.0, 2.0, 5.0, 6.0]), width=8).tolist()
    [3.0, 2.0, 7.0, 6.0]
    """
    x1, y1, x2, y2 = (boxes[..., side] for side in range(4))
    return namespace(boxes).stack([width - x2, y1, width - x1, y2], -1)


def tubelet_iou(a: Array, b: Array) -> Array:
    """Return the overlap of tubelets on the same frames: the mean of their boxes' IoU.

    a, b: (..., t, 4) xyxy pixels
    returns: (...) in [0, 1]

    >>> float(tubelet_iou(np.array([[0., 0., 4., 4.], [0., 0., 4., 4.]]), np.array([[0., 0., 4., 2.]] * 2)))
    0.5
    """
    return iou(a, b).mean(-1)


def pairwise_iou(a: Array, b: Array) -> Array:
    """Return the overlap of every box of ``a`` with every box of ``b``.

    a: (n, 4) xyxy pixels
    b: (m, 4) xyxy pixels
    returns: (n, m) in [0, 1]

    >>> pairwise_iou(np.zeros((2, 4)), np.ones((3, 4))).shape
    (2, 3)
    """
    return iou(a[..., :, None, :], b[..., None, :, :])


def giou(a: Array, b: Array) -> Array:
    """Return the generalised IoU pair by pair: IoU minus the hull's share that neither box covers.

    a, b: (..., 4) xyxy pixels, broadcast against each other
    returns: (...) in [-1, 1]
    Source: Rezatofighi et al., Generalized Intersection over Union, Eq. 1.

    >>> giou(np.array([0., 0., 1., 1.]), np.array([3., 0., 4., 1.]))
    np.float64(-0.5)
    """
    a, b = as_float(a), as_float(b)
    xp = namespace(a, b)
    shared = _intersection(a, b)
    union = area(a) + area(b) - shared
    width = xp.maximum(a[..., 2], b[..., 2]) - xp.minimum(a[..., 0], b[..., 0])
    height = xp.maximum(a[..., 3], b[..., 3]) - xp.minimum(a[..., 1], b[..., 1])
    hull = width.clip(0) * height.clip(0)
    return ratio(shared, union) - ratio(hull - union, hull)


def clip(boxes: Array, width: float, height: float) -> Array:
    """Return the boxes cut to the frame [0, width] x [0, height].

    boxes: (..., 4) xyxy pixels

    >>> clip(np.array([-5., 2., 30., 9.]), width=20, height=8)
    array([ 0.,  2., 20.,  8.])
    """
    boxes = as_float(boxes)
    xp = namespace(boxes)
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
    return xp.stack([x1.clip(0, width), y1.clip(0, height), x2.clip(0, width), y2.clip(0, height)], -1)


def xywh_to_xyxy(boxes: Array) -> Array:
    """Return (x1, y1, w, h) boxes (..., 4) as xyxy; integers are cast to float before the sum.

    >>> xywh_to_xyxy(np.array([200, 10, 100, 20], dtype=np.uint8))
    array([200.,  10., 300.,  30.])
    """
    boxes = as_float(boxes)
    return namespace(boxes).concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def xyxy_to_xywh(boxes: Array) -> Array:
    """Return xyxy boxes (..., 4) as (x1, y1, w, h)."""
    boxes = as_float(boxes)
    return namespace(boxes).concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)


def cxcywh_to_xyxy(boxes: Array) -> Array:
    """Return (centre x, centre y, w, h) boxes (..., 4) as xyxy.

    >>> cxcywh_to_xyxy(np.array([5., 5., 4., 2.]))
    array([3., 4., 7., 6.])
    """
    boxes = as_float(boxes)
    half = boxes[..., 2:] / 2
    return namespace(boxes).concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def xyxy_to_cxcywh(boxes: Array) -> Array:
    """Return xyxy boxes (..., 4) as (centre x, centre y, w, h)."""
    boxes = as_float(boxes)
    size = boxes[..., 2:] - boxes[..., :2]
    return namespace(boxes).concatenate([boxes[..., :2] + size / 2, size], -1)


def encode(boxes: Array, anchors: Array) -> Array:
    """Return the offsets of boxes from anchors: (dx / w_a, dy / h_a, log w / w_a, log h / h_a).

    boxes, anchors: (..., 4) xyxy pixels with positive sides, broadcast against each other
    returns: (..., 4) offsets, without units
    Source: Faster R-CNN Eq. 2 (the ``enc`` of CFAD Eq. 3), without weights.

    >>> encode(np.array([2., 0., 6., 4.]), np.array([0., 0., 4., 4.]))
    array([0.5, 0. , 0. , 0. ])
    """
    boxes, anchors = xyxy_to_cxcywh(boxes), xyxy_to_cxcywh(anchors)
    xp = namespace(boxes, anchors)
    shift = (boxes[..., :2] - anchors[..., :2]) / anchors[..., 2:]
    return xp.concatenate([shift, xp.log(boxes[..., 2:] / anchors[..., 2:])], -1)


def decode(offsets: Array, anchors: Array) -> Array:
    """Return the boxes that lie at the offsets from the anchors: the inverse of ``encode``.

    offsets: (..., 4) as ``encode`` gives them; log sizes are cut at log(1000 / 16)
    anchors: (..., 4) xyxy pixels, broadcast against the offsets
    returns: (..., 4) xyxy pixels
    Source: Faster R-CNN Eq. 2 (the ``dec`` of CFAD Eq. 6).
    """
    offsets, anchors = as_float(offsets), xyxy_to_cxcywh(anchors)
    xp = namespace(offsets, anchors)
    centre = offsets[..., :2] * anchors[..., 2:] + anchors[..., :2]
    size = xp.exp(offsets[..., 2:].clip(None, MAX_LOG_RATIO)) * anchors[..., 2:]
    return cxcywh_to_xyxy(xp.concatenate([centre, size], -1))


def nms(boxes: Array, scores: Array, threshold: float) -> Array:
    """Return the boxes that survive greedy non-maximum suppression, best first.

    A box goes when its overlap with a better box that stays is above ``threshold``; equal scores
    keep their order.

    boxes: (n, 4) xyxy pixels
    scores: (n,)
    returns: (kept,) indices into boxes, by falling score

    >>> nms(np.array([[0., 0., 4., 4.], [0., 0., 4., 3.], [9., 9., 11., 11.]]), np.array([.9, .8, .7]), .5)
    array([0, 2])
    """
    return suppress(boxes, scores, threshold, iou)
