"""What some evaluators do to truth and predictions before they match them, on columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stad_lite.metrics.conventions import Rules
from stad_lite.tubes import Tube

if TYPE_CHECKING:
    from stad_lite.metrics.inputs import Items, Task


def repaired(scored: Task, truth: Items, kind: str, rules: Rules) -> Items:
    """Return the true tubes or segments without those that the rules drop, which are counted."""
    if rules.shortest_truth is not None and kind == "segments":
        long = long_enough(truth.span, rules.shortest_truth)
        scored.ignore("truth without length, or hardly any", int((~long).sum()))
        truth = truth.take(long)
    if rules.duplicate_truth == "dropped":
        group = truth.video * len(scored.classes) + truth.label
        close = rules.duplicate_within and kind == "segments"
        kept = unlike_earlier(group, truth.span, rules.duplicate_within) if close else _first_of_each(truth)
        scored.ignore("truth given twice", len(truth) - len(kept))
        truth = truth.take(kept)
    return truth


def long_enough(span: np.ndarray, shortest: float) -> np.ndarray:
    """Tell which segments have a length, and at least the shortest one.

    span: (n, 2) start and end
    returns: (n,)

    >>> long_enough(np.array([[1., 1.], [1., 1.5], [1., 3.]]), 1.)
    array([False, False,  True])
    """
    length = span[:, 1] - span[:, 0]
    return np.asarray((length > 0) & (length >= shortest))


def unlike_earlier(group: np.ndarray, span: np.ndarray, within: float) -> np.ndarray:
    """Return the positions of segments without those close to an earlier one that stays.

    group: (n,) segments of one video and class share a number
    span: (n, 2) start and end
    within: by how much both ends of close segments differ at most

    >>> unlike_earlier(np.array([0, 0, 0, 1]), np.array([[1., 2.], [1.5, 2.], [2., 2.], [1., 2.]]), .5)
    array([0, 2, 3])
    """
    kept: list[int] = []
    stays: dict[int, list[tuple[float, float]]] = {}
    for i, (key, (start, end)) in enumerate(zip(group.tolist(), span.tolist(), strict=True)):
        earlier = stays.setdefault(key, [])
        if not any(abs(start - a) <= within and abs(end - b) <= within for a, b in earlier):
            kept.append(i)
            earlier.append((start, end))
    return np.array(kept, dtype=np.int64)


def by_place(label: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Give what is of the i-th class, if that has no truth, to the i-th of the classes that have one.

    label: (n,)
    present: labels with truth, rising

    >>> by_place(np.array([0, 1, 2, 3]), present=np.array([1, 2]))
    array([1, 1, 2, 3])
    """
    strayed = ~np.isin(label, present) & (label < len(present))
    label = label.copy()
    label[strayed] = present[label[strayed]]
    return label


def _first_of_each(truth: Items) -> np.ndarray:
    seen: set[tuple[object, ...]] = set()
    kept = []
    for i, item in enumerate(truth.items):
        place = (item.start, item.boxes.tobytes()) if isinstance(item, Tube) else (item.start, item.end)
        key = (int(truth.video[i]), int(truth.label[i]), *place)
        if key not in seen:
            kept.append(i)
            seen.add(key)
    return np.array(kept, dtype=np.int64)
