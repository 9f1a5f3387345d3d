"""How well truths are covered, whatever the scores: v-MABO, and recall against the number of proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stad_lite.errors import StadError
from stad_lite.metrics import pairing
from stad_lite.metrics.conventions import Convention, Rules, get_convention
from stad_lite.metrics.frames import box_candidates, counted
from stad_lite.metrics.inputs import Boxes, Items, Task, box_batches, items, task
from stad_lite.metrics.precision import Candidates, run_starts
from stad_lite.metrics.temporal import segment_overlaps
from stad_lite.metrics.videos import counted_tubes, tube_overlaps
from stad_lite.records.types import Annotations, Predictions

Rows = Boxes | Items


def all_pairs(
    scored: Task, kind: str, rules: Rules, source: str = "auto", by_class: bool = False
) -> tuple[Rows, Rows, Candidates, np.ndarray]:
    """Return every pair of a prediction and a truth that share a video (a frame, for ``frames``).

    returns: truth, predictions, pairs in the order in which they are tried, position of each rank
    """
    if kind == "frames":
        truth, boxes, limits = next(iter(box_batches(scored, source, 1 << 60)))
        truth, boxes = counted(scored, truth, boxes, limits, rules)
        return truth, boxes, *box_candidates(truth, boxes, rules, by_class)
    if kind == "tubes":
        rows, ours = counted_tubes(scored, rules)
        return rows, ours, *pairing.candidates(rows, ours, tube_overlaps, rules, by_class)
    rows, ours = items(scored, "segments", rules)
    return rows, ours, *pairing.candidates(rows, ours, segment_overlaps, rules, by_class)


def best_overlaps(scored: Task, rules: Rules, by_class: bool = False) -> tuple[Items, Items, np.ndarray]:
    """Return the true tubes, the predicted ones, and each true tube's largest overlap (0 where none)."""
    truth, ours, pairs, _ = all_pairs(scored, "tubes", rules, by_class=by_class)
    best = np.zeros(len(truth))
    np.maximum.at(best, pairs.truth, pairs.overlap)
    return truth, ours, best  # type: ignore[return-value]


def class_means(values: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the mean of the values of each class, NaN where it has none: (classes,)."""
    count = np.bincount(label, minlength=num_classes)
    total = np.bincount(label, weights=values, minlength=num_classes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Recall:
    """The share of truths that the best-scored proposals cover, over all classes.

    numbers: (n,) proposals a video (a frame, for ``frames``)
    iou: (t,) overlap thresholds
    recall: (t, n) 0..100
    """

    numbers: np.ndarray
    iou: np.ndarray
    recall: np.ndarray

    @property
    def average(self) -> np.ndarray:
        """(n,) mean over the thresholds: average recall."""
        return np.asarray(self.recall.mean(0))


def recall_curve(
    truth: Annotations,
    predictions: Predictions,
    numbers: Sequence[int] = (1, 2, 3, 5, 10, 20, 50, 100),
    iou: Sequence[float] = (0.5,),
    kind: str = "tubes",
    same_class: bool = False,
    convention: str | Convention | Rules = "sound",
    source: str = "auto",
) -> Recall:
    """Return recall against the number of proposals.

    A truth is found at n when one of the n best-scored proposals of its video (its frame, for
    ``frames``) reaches the threshold.

    numbers: proposals a video or frame, >= 1
    kind: ``tubes``, ``frames`` or ``segments``
    same_class: a proposal finds truths of its own class only; else class labels are disregarded
    raises: StadError and what ``evaluate`` raises
    """
    if not len(numbers) or min(numbers) < 1:
        raise StadError(f"the numbers of proposals are {numbers!r}", remedy="give numbers from 1 on")
    rules = get_convention(convention).rules(kind)
    scored = task(truth, predictions, rules, kind, None, source)
    rows, ours, pairs, ranked = all_pairs(scored, kind, rules, source)
    if not len(rows):
        raise StadError("there is no truth of an evaluated class", remedy="check the classes")
    place = _place_in_group(ours, ranked, kind)
    wanted = np.asarray(numbers)
    table = np.zeros((len(iou), len(wanted)))
    for row, threshold in zip(table, iou, strict=True):
        near = pairs.reaching(threshold, rules.strict)
        fits = ours.label[ranked[near.detection]] == rows.label[near.truth]
        fits |= not same_class
        needed = np.full(len(rows), np.iinfo(np.int64).max)
        np.minimum.at(needed, near.truth[fits], place[near.detection[fits]] + 1)
        row[:] = 100 * (needed[:, None] <= wanted).mean(0)
    return Recall(wanted, np.asarray(iou, dtype=np.float64), table)


def _place_in_group(ours: Rows, ranked: np.ndarray, kind: str) -> np.ndarray:
    """Return how many better predictions each rank has in its video (or frame)."""
    group = ours.video[ranked]
    if isinstance(ours, Boxes):
        group = group * (1 + int(ours.frame.max(initial=0))) + ours.frame[ranked]
    order = np.argsort(group, kind="stable")
    starts = run_starts(group[order])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return place
