"""The few best boxes of every frame and class, after suppression, for all frames and classes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.linking.detections import Detections, ranked

CHUNK = 200_000
"""Coordinates that one pass holds: small enough for the cache, large enough to make loops cheap."""


@dataclass(frozen=True)
class Candidates:
    """The boxes that a linker may use on one frame, class by class, best first.

    boxes: (classes, most, length, 4) xyxy pixels
    score: (classes, most) after suppression, falling
    row: (classes, most) rows of the ``Detections``, -1 where a class has fewer
    """

    boxes: np.ndarray
    score: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class Selection:
    """How the candidates of a frame and class are chosen.

    min_score: a box needs a score above it; None for any
    pre_nms: best boxes that enter suppression; None for all
    nms: a box goes when its mean overlap with a better one that stays is above it; None for no suppression
    keep: best boxes that leave it; None for all
    pixel: added to widths and heights in the overlap
    soft: ``""`` removes suppressed boxes; ``"mean"`` multiplies their score by 1 - mean overlap
        instead; ``"sum"`` by 1 - summed overlap, which is negative for most tubelets
    """

    min_score: float | None = None
    pre_nms: int | None = None
    nms: float | None = None
    keep: int | None = None
    pixel: float = 0.0
    soft: str = ""


def widened(boxes: np.ndarray, pixel: float) -> np.ndarray:
    """Return boxes (..., 4) whose right and lower edges lie ``pixel`` further out."""
    return boxes + np.array([0.0, 0.0, pixel, pixel]) if pixel else boxes


def candidates(detections: Detections, selection: Selection) -> Iterator[tuple[int, Candidates]]:
    """Yield every frame that has candidates, in rising order, with them."""
    least = -np.inf if selection.min_score is None else selection.min_score
    row = np.flatnonzero(detections.score > least)
    classes, source = detections.num_classes, detections.source[row]
    frames, place = np.unique(detections.start[source], return_inverse=True)
    group = place * classes + detections.label[row]
    order = ranked(group, detections.score[row], detections.boxes, source)
    row, group = row[order], group[order]
    bounds = np.searchsorted(group, np.arange(len(frames) + 1) * classes)
    most = int(np.bincount(group, minlength=1).max())
    if selection.pre_nms is not None:
        most = min(most, selection.pre_nms)
    chunk = max(1, CHUNK // max(1, 4 * detections.length * classes * most))
    for first in range(0, len(frames), chunk):
        last = min(first + chunk, len(frames))
        part = slice(bounds[first], bounds[last])
        found = _chunk(detections, selection, row[part], group[part] - first * classes, last - first)
        for index in range(last - first):
            one = Candidates(found.boxes[index], found.score[index], found.row[index])
            yield int(frames[first + index]), one


def _chunk(
    detections: Detections, selection: Selection, rows: np.ndarray, group: np.ndarray, num_frames: int
) -> Candidates:
    """The candidates of a run of frames, all fields with a leading axis of frames.

    rows: (r,) ranked rows of these frames
    group: (r,) frame * classes + class of each
    """
    count = np.bincount(group, minlength=num_frames * detections.num_classes)
    place = np.arange(len(rows)) - (np.cumsum(count) - count)[group]
    if selection.pre_nms is not None:
        within = place < selection.pre_nms
        rows, group, place = rows[within], group[within], place[within]
    used, line = np.unique(group, return_inverse=True)
    table = np.full((len(used), int(place.max()) + 1), -1)
    table[line, place] = rows
    kept, score = suppress(
        detections.boxes[detections.source[table]], detections.score[table], table >= 0, selection
    )
    shape = (num_frames, detections.num_classes, kept.shape[1])
    row, scores = np.full(shape, -1), np.zeros(shape)
    row.reshape(-1, shape[2])[used] = np.where(kept >= 0, np.take_along_axis(table, kept, axis=1), -1)
    scores.reshape(-1, shape[2])[used] = np.where(kept >= 0, score, 0.0)
    return Candidates(detections.boxes[detections.source[row]], scores, row)


def suppress(
    boxes: np.ndarray, score: np.ndarray, present: np.ndarray, selection: Selection
) -> tuple[np.ndarray, np.ndarray]:
    """Suppress within many groups at once.

    boxes: (groups, n, length, 4) xyxy pixels, best first in each group
    score: (groups, n)
    present: (groups, n) False where a group has fewer
    returns: (groups, kept) places of the survivors, best first, -1 where there are fewer; their scores.
        Scores equal after soft suppression keep their order.
    """
    if selection.nms is None:
        kept = np.where(present, np.arange(present.shape[1]), -1)[:, : selection.keep]
        return kept, score[:, : selection.keep]
    kept, weight = _survivors(boxes, present, selection)
    if selection.soft:
        score = np.where(present, score * weight, -np.inf)
        kept = np.argsort(-score, axis=1, kind="stable")[:, : selection.keep]
        kept = np.where(np.take_along_axis(present, kept, axis=1), kept, -1)
    return kept, np.take_along_axis(score, kept, axis=1)


def _survivors(boxes: np.ndarray, present: np.ndarray, selection: Selection) -> tuple[np.ndarray, np.ndarray]:
    """Greedy suppression: places of the survivors (groups, kept) and a weight for every box (groups, n)."""
    boxes, alive, lines = widened(boxes, selection.pixel), present.copy(), np.arange(len(present))
    weight = np.ones(present.shape)
    kept: list[np.ndarray] = []
    limit = selection.keep if selection.keep is not None and not selection.soft else present.shape[1]
    while len(kept) < limit and alive.any():
        best = alive.argmax(axis=1)
        kept.append(np.where(alive[lines, best], best, -1))
        alive[lines, best] = False
        rest = slice(len(kept), None)  # no earlier place can be alive
        overlap = box_ops.iou(boxes[lines, best][:, None], boxes[:, rest])
        gone = alive[:, rest] & (overlap.mean(axis=-1) > selection.nms)
        if selection.soft:
            reduced = overlap.mean(axis=-1) if selection.soft == "mean" else overlap.sum(axis=-1)
            weight[:, rest] = np.where(gone, 1 - reduced, weight[:, rest])
        alive[:, rest] &= ~gone
    return np.stack(kept, axis=1), weight
