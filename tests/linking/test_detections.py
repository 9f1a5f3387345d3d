from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import boxes as box_ops
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    NotFiniteError,
    UnknownLabelError,
    UnsignedBoxError,
)
from stad_lite.linking import candidates as module
from stad_lite.linking import from_rows, from_scores
from stad_lite.linking.build import by_path, uncovered
from stad_lite.linking.candidates import Selection, candidates
from stad_lite.linking.detections import class_scores, ranked
from stad_lite.linking.live import serve
from stad_lite.tubes import Tube, tube_iou
from tests.linking.cases import videos

BOX = np.array([[0.0, 0, 10, 10]])


@settings(max_examples=200, deadline=None)
@given(videos(most_frames=4, most_boxes=8), st.sampled_from([1, 3, None]), st.sampled_from([0.21, 0.5]))
def test_candidates_are_those_of_nms_frame_by_frame(video: Any, keep: int | None, threshold: float) -> None:
    frame, boxes, scores = video
    detections = from_scores(frame, boxes, scores)
    offered = dict(candidates(detections, Selection(min_score=0.125, nms=threshold, keep=keep)))
    for now in range(5):
        for label in range(2):
            index = np.flatnonzero((frame == now) & (scores[:, label] > 0.125))
            order = index[np.lexsort((*boxes[index, 0].T[::-1], -scores[index, label]))]
            kept = order[box_ops.nms(boxes[order, 0], scores[order, label], threshold)][:keep]
            row = offered[now].row[label] if now in offered else np.zeros(0, dtype=int)
            np.testing.assert_array_equal(detections.source[row[row >= 0]], kept)


@settings(max_examples=60, deadline=None)
@given(videos(most_frames=6, most_boxes=4), st.sampled_from(["", "mean"]))
def test_frames_in_small_passes_give_the_same(video: Any, soft: str) -> None:
    detections, selection = from_scores(*video), Selection(nms=0.4, keep=3, soft=soft)
    whole, before = list(candidates(detections, selection)), module.CHUNK
    try:
        module.CHUNK = 1
        single = list(candidates(detections, selection))
    finally:
        module.CHUNK = before
    assert [frame for frame, _ in whole] == [frame for frame, _ in single]
    for (_, one), (_, other) in zip(whole, single, strict=True):
        for a, b in zip(one.row, other.row, strict=True):
            np.testing.assert_array_equal(a[a >= 0], b[b >= 0])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from([0.25, 0.5]), st.sampled_from([0.0, 1.0]), st.booleans()
        ),
        max_size=12,
    )
)
def test_rank_is_group_then_score_then_coordinates_then_place(
    rows: list[tuple[int, float, float, bool]],
) -> None:
    group, score = np.array([r[0] for r in rows], dtype=int), np.array([r[1] for r in rows])
    boxes = np.array([[[r[2], 0, 9, 9 if r[3] else 8]] for r in rows]).reshape(len(rows), 1, 4)
    literal = sorted(range(len(rows)), key=lambda i: (group[i], -score[i], tuple(boxes[i, 0]), i))
    assert ranked(group, score, boxes, np.arange(len(rows))).tolist() == literal


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_serving_paths_in_turn_is_serving_candidates_in_turn(paths: int, offers: int, seed: int) -> None:
    fits = np.random.default_rng(seed).random((1, paths, offers)) < 0.5
    owner = [-1] * offers
    for path in range(paths):
        free = [n for n in range(offers) if fits[0, path, n] and owner[n] < 0]
        if free:
            owner[free[0]] = path
    assert serve(fits)[0].tolist() == owner


def test_class_scores_of_one_box_are_gathered() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [0, 0, 4, 4], [1, 0, 4, 4], [0, 0, 4, 4]])
    rows = from_rows([0, 0, 0, 1], [1, 2, 1, 0], boxes, [0.5, 0.25, 0.75, 1.0], 3)
    expected = [[0, 0.5, 0.25], [0, 0.5, 0.25], [0, 0.75, 0], [1, 0, 0]]
    np.testing.assert_array_equal(class_scores(rows, np.arange(4)), expected)


def test_short_paths_are_left_out_and_counted() -> None:
    kept, bounds, short = by_path(np.array([2, 0, 2, 1, 0, 2]), least=2)
    assert (kept.tolist(), bounds.tolist(), short) == ([1, 4, 0, 2, 5], [0, 2, 5], 1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 6), st.sampled_from([0.0, 2.0, 5.0]), st.booleans()),
        max_size=8,
    ),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_tubes_left_are_those_of_greedy_suppression_class_by_class(
    shapes: list[tuple[int, int, float, bool]], overlap: float
) -> None:
    tubes = [
        Tube(start, np.tile([x, 0.0, x + 6, 6], (length, 1)), "run" if run else "jump", 1 - n / 16)
        for n, (start, length, x, run) in enumerate(shapes)
    ]
    expected = []
    for label in ("run", "jump"):
        index = [n for n, tube in enumerate(tubes) if tube.label == label]
        kept: list[int] = []
        for n in index:  # by falling score
            if all(tube_iou(tubes[n], tubes[better]) <= overlap for better in kept):
                kept.append(n)
        expected += kept
    assert uncovered(tubes, overlap) == sorted(expected)


def test_bad_rows_are_named() -> None:
    with pytest.raises(UnknownLabelError, match="frame 7: label 2 is not among the 2 classes"):
        from_rows([7], [2], BOX, [0.5], 2)
    with pytest.raises(NotFiniteError, match="frame 7: a box's score is not finite; remove the box"):
        from_rows([7], [0], BOX, [np.nan], 2)
    with pytest.raises(NotFiniteError, match="frame 7"):
        from_rows([7], [0], BOX * np.nan, [0.5], 2)
    with pytest.raises(InvertedBoxError, match="frame 7"):
        from_rows([3, 7], [0, 0], np.concatenate([BOX, -BOX]), [0.5, 0.5], 2)
    with pytest.raises(UnsignedBoxError):
        from_rows([7], [0], BOX.astype(np.uint8), [0.5], 2)
    with pytest.raises(FrameRangeError, match="before frame 0"):
        from_rows([-1], [0], BOX, [0.5], 2)


@pytest.mark.parametrize(
    ("frame", "label", "box", "score"),
    [
        ([1, 2], [0], BOX, [0.5]),
        ([1], [0, 1], BOX, [0.5]),
        ([1], [0.5], BOX, [0.5]),
        ([1], [0], BOX, [0.5, 0.5]),
        ([1], [0], BOX[:, :3], [0.5]),
        ([1.5], [0], BOX, [0.5]),
        ([1], ["run"], BOX, [0.5]),
        ([1], [0], [["a"] * 4], [0.5]),
        ([1], [0], BOX, [None]),
    ],
)
def test_columns_that_do_not_fit_are_refused(frame: Any, label: Any, box: Any, score: Any) -> None:
    with pytest.raises(FormatError):
        from_rows(frame, label, box, score, 2)
