"""The order of ties that a rising sort leaves when it is turned around, against the evaluator's loop."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.metrics import Rules, evaluate
from stad_lite.records import Segment
from tests.metrics.small import boxes, predicted, truth

VIDEOS = ("b", "a", "c")
Rows = dict[str, list[Segment]]


def turned_loop(theirs: Rows, ours: Rows, threshold: float) -> float:
    """Average precision as ActivityNet's eval_detection.py computes it for one class, 0..100."""
    found = [(name, span) for name, spans in ours.items() for span in spans]
    order = np.argsort([span.score for _, span in found], kind="stable")[::-1]
    locked: set[tuple[str, int]] = set()
    hits = []
    for name, span in (found[i] for i in order):
        overlaps = []
        for true in theirs.get(name, []):
            shared = max(min(span.end, true.end) - max(span.start, true.start), 0)
            overlaps.append(shared / (span.end - span.start + true.end - true.start - shared))
        hits.append(False)
        for j in np.argsort(overlaps, kind="stable")[::-1]:
            if overlaps[j] < threshold:
                break
            if (name, int(j)) not in locked:
                locked.add((name, int(j)))
                hits[-1] = True
                break
    true = np.cumsum(hits)
    precision = np.maximum.accumulate((true / np.arange(1, len(hits) + 1))[::-1])[::-1]
    count = sum(map(len, theirs.values()))
    return 100 * float((precision * np.array(hits)).sum() / count)


def spans(random: np.random.Generator, most: int, scored: bool) -> list[Segment]:
    rows = []
    for _ in range(int(random.integers(1, most))):
        start = int(random.integers(0, 6))
        score = float(random.integers(1, 4)) / 4 if scored else None
        rows.append(Segment("run", start, start + int(random.integers(1, 4)), score))
    return rows


def test_segments_are_tried_in_the_original_order() -> None:
    random, told = np.random.default_rng(0), set()
    for _ in range(150):
        theirs = {name: spans(random, 4, False) for name in VIDEOS}
        ours = {name: spans(random, 9, True) for name in VIDEOS}
        pair = truth(("run",), **theirs), predicted(("run",), **ours)
        for threshold in (0.3, 0.5):
            value = turned_loop(theirs, ours, threshold)
            assert evaluate(*pair, "temporal-map", threshold, "activitynet").iou[threshold] == pytest.approx(
                value
            )
            other = evaluate(*pair, "temporal-map", threshold, Rules(ties="file", ignored_share=None))
            told.add(abs(other.iou[threshold] - value) > 1e-9)
    assert told == {True, False}  # the order of the file gives other values


def test_boxes_are_tried_from_the_last_to_the_first_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from stad_lite.metrics import frames

    monkeypatch.setattr(frames, "BATCH", 1)
    at, off = (0, 0, (0.0, 0.0, 9.0, 9.0)), (0, 0, (50.0, 50.0, 59.0, 59.0))
    theirs = truth(b=boxes(at), a=boxes(at))
    ours = predicted(b=boxes(off, scores=[0.5]), a=boxes(at, scores=[0.5]))
    values = [
        evaluate(theirs, ours, "frame-map", 0.5, Rules(ties=ties)).iou[0.5]
        for ties in ("file", "file_reversed")
    ]
    assert values == [25, 50]
