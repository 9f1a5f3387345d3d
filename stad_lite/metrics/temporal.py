"""Temporal mAP: segments in seconds, matched within one video and class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stad_lite import segments as segment_ops
from stad_lite.metrics import pairing
from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.inputs import Items, Task, items, numbers
from stad_lite.metrics.scored import Scored


def score_segments(scored: Task, thresholds: Sequence[float], rules: Rules) -> Scored:
    """Match predicted segments to true ones, video by video and class by class.

    thresholds: temporal overlaps (tIoU)
    returns: every counted segment with its score and whether it is true at each threshold
    """
    truth, ours = items(scored, "segments", rules)
    hit = pairing.match(truth, ours, segment_overlaps, thresholds, rules)
    ignorable = None if rules.ignored_share is None else inside_ignored(scored, ours, rules.ignored_share)
    if ignorable is not None:
        never_true = int((ignorable & ~hit.any(0)).sum())
        scored.ignore("false predictions in ignored spans", never_true)
    return Scored.columns(ours, truth, hit, ignorable)


def segment_overlaps(ours: Items, truth: Items, i: np.ndarray, j: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the overlaps (tIoU) of the segments ours[i] and truth[j], pair by pair.

    i, j: (p,) positions
    returns: (p,); for two segments without length what ``rules.zero_length`` says
    """
    a, b = numbers(ours)[i], numbers(truth)[j]
    overlap = np.asarray(segment_ops.iou(a, b), dtype=np.float64).reshape(len(i))
    empty = (a[:, 0] == a[:, 1]) & (b[:, 0] == b[:, 1])
    if rules.zero_length == "same_point":
        empty &= a[:, 0] == b[:, 0]
    if rules.zero_length != "never":
        overlap[empty] = np.inf if rules.zero_length == "always" else 1.0
    return overlap


def inside_ignored(scored: Task, ours: Items, share: float) -> np.ndarray | None:
    """Return which segments lie in their video's ignored spans by at least this share, or None.

    Spans that meet are joined first; a segment without length counts by its point.
    returns: (n,) or None where no video has ignored spans
    """
    spans = [
        (position, *span)
        for position, name in enumerate(scored.videos)
        if name in scored.truth
        for span in _joined(scored.truth[name].ignore)
    ]
    if not spans:
        return None
    video, low, high = np.array(spans).T
    start, end = numbers(ours).T
    i, j = pairing.pairs_in_groups(ours.video, video.astype(np.int64))
    inside = np.minimum(end[i], high[j]) - np.maximum(start[i], low[j])
    covered, touched = np.zeros(len(ours)), np.zeros(len(ours), dtype=bool)
    np.add.at(covered, i, inside.clip(0))
    np.logical_or.at(touched, i, inside >= 0)
    length = end - start
    return np.where(length > 0, (covered > 0) & (covered >= share * length), touched)


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
