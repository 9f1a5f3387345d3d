"""Segments in time: overlap, expansion, suppression.

A segment is (start, end) in any one unit, half-open: length = end - start. Every function takes
numpy arrays or torch tensors and returns the same kind.
"""

from __future__ import annotations

import numpy as np

from stad_lite.arrays import Array, as_float, as_numpy, namespace, ratio, readable, suppress


def length(segments: Array) -> Array:
    """Return the length of each segment (..., 2); 0 where it is inverted."""
    segments = as_float(segments)
    return (segments[..., 1] - segments[..., 0]).clip(0)


def _intersection(a: Array, b: Array) -> Array:
    xp = namespace(a, b)
    return (xp.minimum(a[..., 1], b[..., 1]) - xp.maximum(a[..., 0], b[..., 0])).clip(0)


def iou(a: Array, b: Array) -> Array:
    """Return the temporal IoU pair by pair; 0 where both segments have no length.

    a, b: (..., 2) start and end, broadcast against each other
    returns: (...) in [0, 1]

    >>> iou(np.array([0., 4.]), np.array([[2., 6.], [4., 5.]])).round(3)
    array([0.333, 0.   ])
    """
    a, b = as_float(a), as_float(b)
    shared = _intersection(a, b)
    return ratio(shared, length(a) + length(b) - shared)


def pairwise_iou(a: Array, b: Array) -> Array:
    """Return the temporal IoU of every segment of ``a`` (n, 2) with every one of ``b`` (m, 2): (n, m)."""
    return iou(a[..., :, None, :], b[..., None, :, :])


def ioa(a: Array, b: Array) -> Array:
    """Return the share of ``a`` that lies inside ``b`` (tIoA), pair by pair; 0 where ``a`` has no length.

    a, b: (..., 2) start and end, broadcast against each other

    >>> ioa(np.array([0., 4.]), np.array([3., 10.]))
    np.float64(0.25)
    """
    a, b = as_float(a), as_float(b)
    return ratio(_intersection(a, b), length(a))


def giou(a: Array, b: Array) -> Array:
    """Return the generalised IoU in one dimension: IoU minus the gap's share of the hull.

    a, b: (..., 2) start and end, broadcast against each other
    returns: (...) in [-1, 1]
    Source: Rezatofighi et al., Generalized Intersection over Union, Eq. 1, for intervals.

    >>> giou(np.array([0., 1.]), np.array([3., 4.]))
    np.float64(-0.5)
    """
    a, b = as_float(a), as_float(b)
    xp = namespace(a, b)
    shared = _intersection(a, b)
    union = length(a) + length(b) - shared
    hull = (xp.maximum(a[..., 1], b[..., 1]) - xp.minimum(a[..., 0], b[..., 0])).clip(0)
    return ratio(shared, union) - ratio(hull - union, hull)


def pairwise_giou(a: Array, b: Array) -> Array:
    """Return the generalised IoU of every segment of ``a`` (n, 2) with every one of ``b`` (m, 2): (n, m)."""
    return giou(a[..., :, None, :], b[..., None, :, :])


def expand(segments: Array, eta: float) -> Array:
    """Return the segments (..., 2) lengthened by 1 / eta of their length on either side.

    Source: SP-TAD Sec. 3.1.3 (eta = 5).

    >>> expand(np.array([10., 20.]), eta=5)
    array([ 8., 22.])
    """
    segments = as_float(segments)
    margin = (segments[..., 1] - segments[..., 0]) / eta
    return namespace(segments).stack([segments[..., 0] - margin, segments[..., 1] + margin], -1)


def clip(segments: Array, start: float, end: float) -> Array:
    """Return the segments (..., 2) cut to [start, end]."""
    return as_float(segments).clip(start, end)


def nms(segments: Array, scores: Array, threshold: float) -> Array:
    """Return the indices of the segments that survive greedy suppression, best first.

    segments: (n, 2) start and end
    scores: (n,)
    returns: (kept,) indices; a segment goes when its IoU with a better one that stays is above threshold
    """
    return suppress(segments, scores, threshold, iou)


def soft_nms(
    segments: Array,
    scores: Array,
    sigma: float,
    min_score: float = 0.001,
    labels: Array | None = None,
    most: int | None = None,
) -> tuple[Array, Array]:
    """Return indices and decayed scores after Gaussian soft-NMS, in the order of picking.

    Each pick multiplies the scores of all that are left by exp(-IoU^2 / sigma); what falls below
    ``min_score`` is dropped, and the last candidate is kept like any other.

    segments: (n, 2) start and end
    scores: (n,)
    labels: (n,) where given, a pick changes those of its own label alone
    most: picks to stop after; as picks never rise, they are the best of all
    returns: (kept,) indices and (kept,) scores
    Source: Bodla et al., Soft-NMS, Eq. 3.

    >>> soft_nms(np.array([[0., 4.], [0., 4.]]), np.array([1., .5]), sigma=0.5)[1].round(3)
    array([1.   , 0.068])
    """
    xp = namespace(segments, scores)
    if xp is not np and not readable(segments):
        names = xp.zeros_like(scores) if labels is None else labels
        count = len(scores) if most is None else min(most, len(scores))
        places, values = soft_picks(segments, scores, sigma, min_score, names, count)
        return places[values >= min_score], values[values >= min_score]
    if xp is not np:
        arrays = (None if x is None else as_numpy(x) for x in (segments, scores, labels))
        spans, values, names = arrays
        kept = soft_nms(spans, values, sigma, min_score, names, most)
        return (
            xp.as_tensor(kept[0], device=segments.device),
            xp.as_tensor(kept[1], device=scores.device, dtype=as_float(scores).dtype),
        )
    names = np.zeros(len(segments), dtype=np.int64) if labels is None else np.asarray(labels)
    order = np.argsort(names, kind="stable")
    spans, current = as_float(segments)[order], np.array(scores, dtype=np.float64)[order]
    first, last = (np.searchsorted(names[order], names[order], side) for side in ("left", "right"))
    current[current < min_score] = -np.inf  # not there
    picked: list[int] = []
    picked_scores: list[float] = []
    while len(picked) < len(spans) and len(picked) != most:
        best = int(np.argmax(current))
        if current[best] == -np.inf:
            break
        picked.append(best)
        picked_scores.append(current[best])
        current[best] = -np.inf
        rivals = first[best] + np.flatnonzero(current[first[best] : last[best]] > -np.inf)
        decayed = current[rivals] * np.exp(-(iou(spans[best], spans[rivals]) ** 2) / sigma)
        current[rivals] = np.where(decayed < min_score, -np.inf, decayed)
    return order[np.array(picked, dtype=np.int64)], np.array(picked_scores, dtype=np.float64)


def soft_picks(
    segments: Array, scores: Array, sigma: float, min_score: float, labels: Array, picks: int
) -> tuple[Array, Array]:
    """Return so many picks of ``soft_nms`` of torch tensors on their own device, in many groups at once.

    Nothing is read back, so a group that has no more to pick goes on with places of no score.

    segments: (..., n, 2) start and end
    scores, labels: (..., n)
    returns: (..., picks) places and (..., picks) scores, minus infinity where there was nothing left
    """
    xp = namespace(segments, scores)
    none = -float("inf")
    order = labels.argsort(dim=-1, stable=True)  # of equal scores the lower label's is picked, as above
    segments = segments.gather(-2, order[..., None].expand(segments.shape))
    scores, labels = scores.gather(-1, order), labels.gather(-1, order)
    current = scores.masked_fill(~(scores >= min_score), none)
    places, values = [], []
    for _ in range(picks):
        value, best = current.max(-1, keepdim=True)
        places.append(best)
        values.append(value)
        own = segments.gather(-2, best[..., None].expand(*best.shape, 2))
        decayed = current * xp.exp(-(iou(own, segments) ** 2) / sigma)
        decayed = decayed.masked_fill(~(decayed >= min_score), none)
        current = xp.where(labels == labels.gather(-1, best), decayed, current).scatter(-1, best, none)
    if not picks:
        return labels.new_zeros((*scores.shape[:-1], 0), dtype=xp.int64), scores[..., :0]
    return order.gather(-1, xp.cat(places, -1)), xp.cat(values, -1)
