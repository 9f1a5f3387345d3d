"""Tiny videos full of ties, and how fast and slow tubes are compared.

Overlaps tie with thresholds at a half alone: that is exact on every processor, 1/3 and .2 are not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stad_lite.linking import Linked
from tests.oracles.linking import Slow

SCORES = [n / 8 for n in range(9)]
GRID = [(float(x), 0.0, float(x + w), 8.0) for x in (0, 2, 4, 6, 40) for w in (8, 4)]


@st.composite
def videos(
    draw: Any, most_frames: int = 7, most_boxes: int = 4, classes: int = 2, length: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """frame (n,), boxes (n, length, 4) and scores (n, classes), few values of each, in any order."""
    frame: list[int] = []
    for now in range(draw(st.integers(0, most_frames))):
        frame += [now] * draw(st.integers(0, most_boxes))
    frame = list(draw(st.permutations(frame)))
    one = st.lists(st.sampled_from(GRID), min_size=length, max_size=length)
    boxes = np.array([draw(one) for _ in frame]).reshape(len(frame), length, 4)
    row = st.lists(st.sampled_from(SCORES), min_size=classes, max_size=classes)
    scores = np.array([draw(row) for _ in frame]).reshape(len(frame), classes)
    return np.array(frame, dtype=np.int64), boxes, scores


def assert_same(linked: Linked, slow: list[Slow]) -> None:
    """The fast tubes are the slow ones, in the stated order."""

    def key(tube: Any) -> Any:
        return (tube[0], -round(tube[1], 9), tube[2], tube[3])

    fast = [
        (int(tube.label), tube.score, tube.start, members.tolist(), tube.boxes, tube.box_scores)
        for tube, members in zip(linked.tubes, linked.members, strict=True)
    ]
    literal = [(one.label, one.score, one.start, list(one.members), one.boxes, one.scores) for one in slow]
    assert [one[0] for one in fast] == sorted(one[0] for one in fast)
    for a, b in pairwise(fast):
        assert a[0] < b[0] or (-a[1], a[2]) <= (-b[1], b[2])
    assert len(fast) == len(literal)
    for one, other in zip(sorted(fast, key=key), sorted(literal, key=key), strict=True):
        assert (one[0], one[2], one[3]) == (other[0], other[2], other[3])
        np.testing.assert_allclose(one[1], other[1], rtol=1e-12)
        np.testing.assert_allclose(one[4], other[4], rtol=1e-12)
        np.testing.assert_allclose(one[5], other[5], rtol=1e-12, atol=1e-15)


def assert_shared_by_none(linked: Linked) -> None:
    """Within a class no detection is in two tubes."""
    for label in {tube.label for tube in linked.tubes}:
        pairs = zip(linked.tubes, linked.members, strict=True)
        used = np.concatenate([members for tube, members in pairs if tube.label == label])
        assert len(used) == len(set(used.tolist()))
