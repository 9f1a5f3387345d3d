"""Matched detections, and the mean average precision over classes that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.inputs import Boxes, Items
from stad_lite.metrics.precision import average_precision_sorted, by_class, curve_order, falling


@dataclass(frozen=True)
class Scored:
    """Every counted detection after matching: all that average precision needs.

    video: (n,) position of the video
    label: (n,) class index
    score: (n,)
    hit: (thresholds, n) whether the detection is true
    truth_video, truth_label: (m,) of the truths
    ignorable: (n,) false detections that do not count, or None
    """

    video: np.ndarray
    label: np.ndarray
    score: np.ndarray
    hit: np.ndarray
    truth_video: np.ndarray
    truth_label: np.ndarray
    ignorable: np.ndarray | None = None

    @classmethod
    def columns(
        cls,
        detections: Boxes | Items,
        truth: Boxes | Items,
        hit: np.ndarray,
        ignorable: np.ndarray | None = None,
    ) -> Scored:
        """Return the narrow columns of matched detections."""
        return cls(
            detections.video.astype(np.int32),
            detections.label.astype(np.int16),
            detections.score,
            hit,
            truth.video.astype(np.int32),
            truth.label.astype(np.int16),
            ignorable,
        )

    @classmethod
    def join(cls, parts: Sequence[Scored]) -> Scored:
        """Return the detections of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        columns = [
            np.concatenate([getattr(part, name) for part in parts], axis=-1)
            for name in ("video", "label", "score", "hit", "truth_video", "truth_label")
        ]
        return cls(*columns)


@dataclass(frozen=True)
class ClassCurve:
    """The detections of one class in the order of its curve, at one threshold.

    hit, score, video: (n,)
    truth_video: (m,) videos of the truths
    """

    hit: np.ndarray
    score: np.ndarray
    video: np.ndarray
    truth_video: np.ndarray

    def average_precision(self, rules: Rules, weight: np.ndarray | None = None) -> float:
        """Return the average precision, NaN where the (weighted) videos have no truth.

        weight: (videos,) how often each video counts, or None
        """
        num_truth = len(self.truth_video) if weight is None else weight[self.truth_video].sum()
        if not num_truth:
            return np.nan
        counts = None if weight is None else weight[self.video]
        return average_precision_sorted(self.hit, self.score, float(num_truth), rules, counts)


def class_curves(scored: Scored, num_classes: int, rules: Rules) -> list[list[ClassCurve]]:
    """Return the curves of each class at each threshold: [threshold][class]."""
    curves: list[list[ClassCurve]] = [[] for _ in scored.hit]
    truths = by_class(scored.truth_label, num_classes)
    for at, truth_at in zip(by_class(scored.label, num_classes), truths, strict=True):
        score, video, truth_video = scored.score[at], scored.video[at], scored.truth_video[truth_at]
        stable = falling(score)
        if rules.ties == "curve_reversed":
            stable = len(score) - 1 - falling(score[::-1])
        for row, hits in zip(curves, scored.hit, strict=True):
            hit = hits[at]
            order = curve_order(hit, score, rules.ties) if rules.ties.endswith("_first") else stable
            if scored.ignorable is not None:
                order = order[~scored.ignorable[at][order] | hit[order]]
            row.append(ClassCurve(hit[order], score[order], video[order], truth_video))
    return curves


def class_precisions(
    curves: Sequence[ClassCurve], rules: Rules, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the average precision of each class, 0..1; NaN where the class is left out of the mean.

    rules: decide on classes without truth and without predictions
    weight: (videos,) how often each video counts, or None
    returns: (classes,)
    """
    values = np.array([one.average_precision(rules, weight) for one in curves], dtype=np.float64)
    if rules.classes_without_truth == "zero":
        values = np.nan_to_num(values, nan=0.0)
    if rules.classes_without_predictions == "left_out":
        values[[len(one.score) == 0 for one in curves]] = np.nan
    return values


def mean_over_classes(values: np.ndarray) -> float:
    """Return the mean over the classes that are not left out; NaN where none remains."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
