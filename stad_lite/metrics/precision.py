"""Greedy matching and average precision, over all groups and classes at once.

A greedy pass over detections by falling score, each taking its best free truth, is the outcome of
deferred acceptance: all detections propose to their best truth, every truth keeps the best-scored
proposer, the others go on to their next truth. That takes a few rounds over arrays where the pass
takes one step a detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stad_lite.metrics.conventions import Rules


@dataclass(frozen=True)
class Candidates:
    """Pairs of a detection and a truth that could match, best detections first.

    detection: (p,) index of the detection in rank order (0 = tried first); not falling
    truth: (p,) index of the truth; for one detection, by falling overlap
    overlap: (p,)
    digits: decimals of the overlaps, None where they are as computed
    """

    detection: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray
    digits: int | None = None

    @classmethod
    def sort(
        cls, detection: np.ndarray, truth: np.ndarray, overlap: np.ndarray, digits: int | None = None
    ) -> Candidates:
        """Return the pairs in order; equal overlaps keep the order in which the truths came."""
        if digits is not None:
            overlap = np.round(overlap, digits)
        if (detection[1:] > detection[:-1]).all():  # one pair each, as where truths of a class lie apart
            return cls(detection, truth, overlap, digits)
        order = np.lexsort((-overlap, detection))
        return cls(detection[order], truth[order], overlap[order], digits)

    def reaching(self, threshold: float, strict: bool) -> Candidates:
        """Return the pairs whose overlap reaches (or, strict, exceeds) the threshold."""
        limit = threshold if self.digits is None else np.round(threshold, self.digits)
        good = self.overlap > limit if strict else self.overlap >= limit
        return Candidates(self.detection[good], self.truth[good], self.overlap[good], self.digits)


def assign(candidates: Candidates, num_truth: int, once: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Match greedily: every detection, best first, takes its best truth that is still free.

    candidates: pairs that reach the threshold
    num_truth: number of truths
    once: each detection tries its best truth only (``best_of_all``)
    returns: (m,) matched detections and (m,) their truths

    >>> pairs = Candidates.sort(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([.9, .8, .6]))
    >>> assign(pairs, num_truth=2)
    (array([0, 1]), array([0, 1]))
    >>> assign(pairs, num_truth=2, once=True)
    (array([0]), array([0]))
    """
    detection, truth = candidates.detection, candidates.truth
    if not len(detection):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cursor = run_starts(detection)
    end = np.append(cursor[1:], len(detection))
    who = detection[cursor]
    holder = np.full(num_truth, detection[-1] + 1)
    while True:
        wanted = truth[cursor]
        np.minimum.at(holder, wanted, who)
        beaten = holder[wanted] < who
        if not beaten.any():
            return who, wanted
        cursor = cursor + beaten
        stay = ~beaten if once else cursor < end
        cursor, end, who = cursor[stay], end[stay], who[stay]


def run_starts(keys: np.ndarray) -> np.ndarray:
    """Return where each run of equal neighbours starts: (runs,)."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, int)


def ragged(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return starts[0] .. starts[0] + lengths[0] - 1, starts[1] .. and so on, end to end.

    >>> ragged(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


def falling(score: np.ndarray) -> np.ndarray:
    """Return the order by falling score; equal scores keep their order."""
    order = np.argsort(-score)
    sorted_score = score[order]
    tied = (sorted_score[1:] == sorted_score[:-1]).any()
    return np.argsort(-score, kind="stable") if tied else order


def content_order(score: np.ndarray, keys: Callable[[np.ndarray], Sequence[np.ndarray]]) -> np.ndarray | None:
    """Return an order in which equal scores stand by content; a stable sort by score then keeps it.

    Detections whose score is theirs alone stay where they are.

    score: (n,)
    keys: positions -> arrays that say which is which, the most important first
    returns: (n,) or None where no scores are equal

    >>> numbers = np.array([7, 1, 3])
    >>> content_order(np.array([.5, .9, .5]), lambda at: [numbers[at]])
    array([2, 1, 0])
    """
    rising = np.sort(score)
    if not (rising[1:] == rising[:-1]).any():
        return None
    order = np.argsort(score)
    same = np.diff(score[order]) == 0
    tied = np.zeros(len(score), dtype=bool)
    tied[order[1:][same]] = tied[order[:-1][same]] = True
    slots = np.flatnonzero(tied)
    result = np.arange(len(score))
    result[slots] = slots[np.lexsort(list(keys(slots))[::-1])]
    return result


def average_precision(
    hit: np.ndarray, scores: np.ndarray, num_truth: float, rules: Rules, weight: np.ndarray | None = None
) -> float:
    """Return the average precision of one class, 0..1.

    hit: (n,) whether each detection is true
    scores: (n,)
    num_truth: number of truths, > 0
    weight: (n,) how often each detection counts (bootstrap over videos); 1 where not given
    returns: 0 where there are no detections

    >>> hit, scores = np.array([True, False, True]), np.array([.9, .8, .7])
    >>> round(average_precision(hit, scores, 2, Rules()), 4)
    0.8333
    >>> round(average_precision(hit, scores, 2, Rules(ap="trapezoid")), 4)
    0.7917
    """
    order = curve_order(hit, scores, rules.ties)
    return average_precision_sorted(hit[order], scores[order], num_truth, rules, _take(weight, order))


def _take(array: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[order]


def curve_order(hit: np.ndarray, scores: np.ndarray, ties: str) -> np.ndarray:
    """Return the order of the curve: by falling score, ties by rule."""
    if ties in ("true_first", "false_first"):
        return np.lexsort((~hit if ties == "true_first" else hit, -scores))
    return falling(scores)


def average_precision_sorted(
    hit: np.ndarray, scores: np.ndarray, num_truth: float, rules: Rules, weight: np.ndarray | None = None
) -> float:
    """Return ``average_precision`` of detections that already stand in the order of the curve."""
    recall, precision = curve(hit, scores, num_truth, rules, weight)
    if rules.ap == "trapezoid":
        recall = np.concatenate([[0], recall]).astype(recall.dtype)
        precision = np.concatenate([[1], precision]).astype(precision.dtype)
        return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) * precision.dtype.type(0.5)))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if rules.ap == "envelope":
        return float(np.sum(np.diff(recall, prepend=0) * envelope, dtype=np.float64))
    points = np.linspace(0, 1, 11 if rules.ap == "eleven_points" else 101)
    at = np.searchsorted(np.round(recall, 12), np.round(points, 12))
    return float(np.append(envelope, 0.0)[at].mean())


def curve(
    hit: np.ndarray, scores: np.ndarray, num_truth: float, rules: Rules, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision along falling scores.

    hit, scores, weight: (n,) in the order of the curve
    returns: (m,) recall, not falling, and (m,) precision; points of weight 0 are left out
    """
    true = hit if weight is None else hit * weight
    if rules.ties == "shared":
        true = share_ties(true, scores, weight)
    true = np.cumsum(true, dtype=np.float64)
    count = np.arange(1.0, len(hit) + 1) if weight is None else np.cumsum(weight, dtype=np.float64)
    if weight is not None:
        true, count = true[count > 0], count[count > 0]
    kind = np.float32 if rules.single_precision else np.float64
    return (true / (num_truth + rules.recall_epsilon)).astype(kind), (true / count).astype(kind)


def share_ties(true: np.ndarray, scores: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the truths that each detection counts for when equal scores share theirs evenly.

    true: (n,) truths found by each detection (times its weight)
    scores: (n,) not rising
    returns: (n,)

    >>> share_ties(np.array([1, 0, 1]), np.array([.9, .8, .8]))
    array([1. , 0.5, 0.5])
    """
    starts = run_starts(scores)
    if len(starts) == len(scores):
        return true
    sizes = np.diff(np.append(starts, len(scores)))
    found = np.add.reduceat(true, starts, dtype=np.float64)
    if weight is None:
        return np.repeat(found / sizes, sizes)
    total = np.add.reduceat(weight, starts, dtype=np.float64)
    return np.repeat(found / np.maximum(total, 1e-300), sizes) * weight


def by_class(label: np.ndarray, num_classes: int) -> Iterator[np.ndarray]:
    """Yield, class after class, the positions that have its label, in their order."""
    order = np.argsort(label, kind="stable")
    ends = np.cumsum(np.bincount(label, minlength=num_classes))
    return iter(np.split(order, ends[:-1]))
