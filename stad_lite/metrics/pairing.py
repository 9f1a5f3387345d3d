"""Pairs of a prediction and a truth, of tubes or segments, and their greedy matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.inputs import Items
from stad_lite.metrics.precision import Candidates, assign, falling, ragged, run_starts

Overlaps = Callable[[Items, Items, np.ndarray, np.ndarray, Rules], np.ndarray]
"""(predictions, truth, i, j, rules) -> (pairs,) overlaps of predictions[i] and truth[j]."""


def group_keys(rows: Items, by_class: bool = True) -> np.ndarray:
    """Return an integer for each item's video and, if asked, class: (n,)."""
    return rows.video * 65536 + (rows.label if by_class else 0)


def pairs_in_groups(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of positions (i, j) with equal keys; i not falling, j in the order given.

    left: (n,) keys
    right: (m,) keys

    >>> pairs_in_groups(np.array([7, 8, 7]), np.array([7, 9, 7]))
    (array([0, 0, 2, 2]), array([0, 2, 0, 2]))
    """
    order = np.argsort(right, kind="stable")
    keys = right[order]
    first = np.searchsorted(keys, left, side="left")
    count = np.searchsorted(keys, left, side="right") - first
    return np.repeat(np.arange(len(left)), count), order[ragged(first, count)]


def candidates(
    truth: Items, ours: Items, overlaps: Overlaps, rules: Rules, by_class: bool = True
) -> tuple[Candidates, np.ndarray]:
    """Return the pairs of one video (and class) in the order in which they are tried.

    returns: the pairs, whose detections count ranks, and (n,) the prediction that has each rank
    """
    ranked = falling(ours.score)
    rank, j = pairs_in_groups(group_keys(ours, by_class)[ranked], group_keys(truth, by_class))
    return Candidates.sort(rank, j, overlaps(ours, truth, ranked[rank], j, rules), rules.digits), ranked


def match(
    truth: Items,
    ours: Items,
    overlaps: Overlaps,
    thresholds: Sequence[float],
    rules: Rules,
) -> np.ndarray:
    """Match greedily within each video and class.

    returns: (thresholds, n) whether each prediction is true
    """
    hit = np.zeros((len(thresholds), len(ours)), dtype=bool)
    pairs, ranked = candidates(truth, ours, overlaps, rules)
    for row, threshold in zip(hit, thresholds, strict=True):
        near = pairs.reaching(threshold, rules.strict)
        matched, _ = assign(near, len(truth), once=rules.match == "best_of_all")
        row[ranked[matched]] = True
    return hit


def suppress(ours: Items, overlaps: Overlaps, threshold: float, rules: Rules) -> np.ndarray:
    """Return the positions that survive greedy suppression within each video and class, in order.

    threshold: an item goes when its overlap with a better one that stays is above it
    """
    ranked = falling(ours.score)
    keys = group_keys(ours)[ranked]
    better, worse = pairs_in_groups(keys, keys)
    ahead = better < worse
    better, worse = better[ahead], worse[ahead]
    close = overlaps(ours, ours, ranked[better], ranked[worse], rules) > threshold
    stays = np.ones(len(ours), dtype=bool)
    better, worse = better[close], worse[close]
    starts = run_starts(better)
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(better)], strict=False):
        if stays[better[start]]:
            stays[worse[start:end]] = False
    return np.sort(ranked[stays])
