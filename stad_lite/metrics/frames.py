"""Frame-mAP: detections on single frames, matched within one video, frame and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.arrays import ratio
from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.inputs import Boxes, Task, box_batches
from stad_lite.metrics.precision import (
    Candidates,
    assign,
    content_order,
    falling,
    ragged,
    run_starts,
)
from stad_lite.metrics.scored import Scored

BATCH = 400_000
"""Predictions matched at a time; bounds the memory."""


def score_frames(scored: Task, thresholds: Sequence[float], rules: Rules, source: str = "auto") -> Scored:
    """Match predicted boxes to true ones, frame by frame.

    thresholds: box overlaps
    source: what predictions are taken from: ``auto`` (``frames``, else tubes), ``tubes`` or ``frames``
    returns: every counted detection with its score and whether it is true at each threshold
    """
    parts: list[Scored] = []
    for truth, boxes, limits in box_batches(scored, source, BATCH):
        truth, boxes = counted(scored, truth, boxes, limits, rules)
        hit = match_boxes(truth, boxes, thresholds, rules)
        parts.append(Scored.columns(boxes, truth, hit))
    return Scored.join(parts[::-1] if rules.ties == "file_reversed" else parts)


def counted(
    scored: Task, truth: Boxes, boxes: Boxes, limits: Mapping[int, np.ndarray], rules: Rules
) -> tuple[Boxes, Boxes]:
    """Return the boxes that count, after the rules on frames, classes and numbers a frame.

    limits: evaluated frames by position of the video
    """
    span = _span(truth, boxes, *limits.values())
    if rules.written_decimals is not None:
        truth, boxes = (replace(rows, box=rows.box / _sizes(scored)[rows.video]) for rows in (truth, boxes))
        box, score = (np.round(one, rules.written_decimals) for one in (boxes.box, boxes.score))
        boxes = replace(boxes, box=box, score=score)
    if limits or rules.frames != "all":
        restricted = np.full(len(scored.videos), rules.frames != "all")
        restricted[list(limits)] = True
        keys = _evaluated(truth, limits, rules, span)
        truth = _keep(scored, truth, _among(truth, keys, span, restricted), "truth on frames not evaluated")
        boxes = _keep(
            scored, boxes, _among(boxes, keys, span, restricted), "predictions on frames not evaluated"
        )
    truth = _keep(scored, truth, truth.label >= 0, "truth of classes not evaluated")
    boxes = _keep(scored, boxes, boxes.label >= 0, "predictions of classes not evaluated")
    if rules.duplicate_truth == "dropped":
        truth = _keep(scored, truth, _first_of_each(truth, span), "truth given twice")
    if rules.ties == "file_reversed":
        truth, boxes = (rows.take(np.arange(len(rows))[::-1]) for rows in (truth, boxes))
    if rules.by_content:
        order = content_order(boxes.score, lambda at: _content(boxes.take(at), span))
        boxes = boxes if order is None else boxes.take(order)
    if rules.max_per_frame is not None:
        best = _rank_in_frame(boxes, span) < rules.max_per_frame
        boxes = _keep(scored, boxes, best, f"predictions beyond {rules.max_per_frame} a frame")
    if rules.flat_truth == "dropped":
        truth = _keep(scored, truth, _solid(truth), "truth without area")
    if rules.flat_predictions == "dropped":
        boxes = _keep(scored, boxes, _solid(boxes), "predictions without area")
    return truth, boxes


def _evaluated(truth: Boxes, limits: Mapping[int, np.ndarray], rules: Rules, span: int) -> np.ndarray:
    """Return the frames that count, as video * span + frame."""
    listed = [i * span + frames for i, frames in limits.items()]
    places, free = truth.video * span + truth.frame, ~np.isin(truth.video, list(limits))
    if rules.frames == "annotated":
        listed.append(places[free])
    elif rules.frames == "with_truth":
        allowed = free | np.isin(places, np.concatenate([np.zeros(0, np.int64), *listed]))
        listed = [places[allowed & (truth.label >= 0)]]
    return np.unique(np.concatenate(listed))


def _sizes(scored: Task) -> np.ndarray:
    """Width, height, width, height of every video, 1 where they are not known."""
    found = [scored.truth.get(name) for name in scored.videos]
    pairs = [(1, 1) if v is None else (v.width or 1, v.height or 1) for v in found]
    return np.tile(np.array(pairs, dtype=np.float64).reshape(-1, 2), 2)


def _solid(boxes: Boxes) -> np.ndarray:
    return np.asarray(np.all(boxes.box[:, 2:] > boxes.box[:, :2], axis=1))


def _content(boxes: Boxes, span: int) -> list[np.ndarray]:
    return [boxes.video * span + boxes.frame, *boxes.box.T, boxes.label]


def _span(*columns: Boxes | np.ndarray) -> int:
    """Return one more than the largest frame: video * span + frame is then one number a frame."""
    frames = [column.frame if isinstance(column, Boxes) else column for column in columns]
    return 1 + max(int(one.max(initial=0)) for one in frames)


def _among(boxes: Boxes, keys: np.ndarray, span: int, restricted: np.ndarray) -> np.ndarray:
    return np.isin(boxes.video * span + boxes.frame, keys) | ~restricted[boxes.video]


def _keep(scored: Task, boxes: Boxes, kept: np.ndarray, reason: str) -> Boxes:
    if kept.all():
        return boxes
    scored.ignore(reason, int((~kept).sum()))
    return boxes.take(kept)


def _first_of_each(boxes: Boxes, span: int) -> np.ndarray:
    place = np.column_stack([boxes.video * span + boxes.frame, boxes.label, boxes.box])
    kept = np.zeros(len(boxes), dtype=bool)
    kept[np.unique(place, axis=0, return_index=True)[1]] = True
    return kept


def _rank_in_frame(boxes: Boxes, span: int) -> np.ndarray:
    """Return each box's rank by falling score among all of its frame, from 0."""
    place = boxes.video * span + boxes.frame
    order = np.lexsort((-boxes.score, place))
    starts = run_starts(place[order])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return rank


def match_boxes(truth: Boxes, boxes: Boxes, thresholds: Sequence[float], rules: Rules) -> np.ndarray:
    """Match boxes within each video, frame and class.

    returns: (thresholds, n) whether each box is true
    """
    hit = np.zeros((len(thresholds), len(boxes)), dtype=bool)
    pairs, ranked = box_candidates(truth, boxes, rules, lowest=min(thresholds))
    for row, threshold in zip(hit, thresholds, strict=True):
        matched, _ = assign(pairs.reaching(threshold, rules.strict), len(truth), rules.match == "best_of_all")
        row[ranked[matched]] = True
    return hit


def box_candidates(
    truth: Boxes, boxes: Boxes, rules: Rules, by_class: bool = True, lowest: float = 0.0
) -> tuple[Candidates, np.ndarray]:
    """Return the pairs of one frame (and class), in the order in which they are tried.

    lowest: pairs of clearly smaller overlap are left out
    returns: the pairs, whose detections count ranks, and the position in ``boxes`` of each rank; boxes
        without a pair have none
    """
    span = _span(truth, boxes)
    truth_keys, keys = (_keys(columns, span, by_class) for columns in (truth, boxes))
    order = _truth_order(truth, truth_keys, rules.by_content)
    truth_keys = truth_keys[order]
    starts = run_starts(truth_keys)
    sizes = np.diff(np.append(starts, len(order)))
    groups = truth_keys[starts]
    if not len(groups):
        return Candidates.sort(*np.zeros((3, 0), dtype=np.int64)), np.zeros(0, dtype=np.int64)
    at = np.minimum(np.searchsorted(groups, keys), len(groups) - 1)
    rivals = np.flatnonzero(groups[at] == keys)
    at = at[rivals]
    box = np.repeat(rivals, sizes[at])
    true = order[ragged(starts[at], sizes[at])]
    overlap = box_overlap(boxes.box[box], truth.box[true], rules)
    near = np.flatnonzero(overlap >= lowest - 1e-9)
    first = run_starts(box[near])
    ranked = box[near[first]]
    best = falling(boxes.score[ranked])
    count = np.diff(np.append(first, len(near)))[best]
    near = near[ragged(first[best], count)]
    rank = np.repeat(np.arange(len(best)), count)
    return Candidates.sort(rank, true[near], overlap[near], rules.digits), ranked[best]


def _truth_order(truth: Boxes, keys: np.ndarray, by_content: bool) -> np.ndarray:
    """Return the order of the truths by key and, of equal keys, by content or as they stand."""
    order = np.argsort(keys, kind="stable")
    if by_content:
        same = keys[order[1:]] == keys[order[:-1]]
        several = np.append(same, False) | np.append(False, same) if len(order) else same
        rows = order[several]
        order[several] = rows[np.lexsort((*truth.box[rows].T[::-1], keys[rows]))]
    return order


def _keys(boxes: Boxes, span: int, by_class: bool) -> np.ndarray:
    frame = boxes.video * span + boxes.frame
    return frame * 65536 + boxes.label if by_class else frame


def box_overlap(boxes: np.ndarray, truth: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the overlap of each predicted with each true box under the rules, pair by pair.

    boxes, truth: (n, 4) xyxy pixels
    returns: (n,)

    >>> box_overlap(np.array([[0., 0., 4., 4.]]), np.array([[0., 0., 4., 9.]]), Rules(pixel=1.0))
    array([0.5])
    """
    if rules.detection_shift:
        boxes = boxes + rules.detection_shift * np.array([1.0, 1.0, 2.0, 2.0])
    if rules.pixel:
        grow = rules.pixel * np.array([0.0, 0.0, 1.0, 1.0])
        boxes, truth = boxes + grow, truth + grow
    if rules.single_boxes:
        return _single_overlap(boxes.astype(np.float32), truth.astype(np.float32))
    return np.asarray(box_ops.iou(boxes, truth))


def _single_overlap(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The overlap as mmaction2's np_box_ops.py has it: sides and areas in float32, the rest in float64."""
    sides = np.minimum(boxes[:, 2:], truth[:, 2:]) - np.maximum(boxes[:, :2], truth[:, :2])
    shared = np.maximum(0.0, sides.astype(np.float64)).prod(axis=1)
    total = (box_ops.area(boxes) + box_ops.area(truth)).astype(np.float64)
    return np.asarray(ratio(shared, total - shared))
