from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, StadError
from stad_lite.linking import ViterbiConfig, best_path, from_rows, from_scores, link_viterbi
from tests.linking.cases import assert_same, assert_shared_by_none, videos
from tests.oracles import linking as slow

CONFIGS = st.builds(
    ViterbiConfig,
    min_score=st.sampled_from([0.0, 0.25]),
    nms=st.sampled_from([None, 0.4]),
    keep=st.sampled_from([None, 2]),
    overlap_weight=st.sampled_from([0.0, 1.0, 2.0]),
    product_weight=st.sampled_from([0.0, 0.5]),
    empty=st.sampled_from(["bridge", "copy"]),
    score=st.sampled_from(["mean", "energy"]),
    max_paths=st.sampled_from([None, 1, 2]),
    pixel=st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=200, deadline=None)
@given(videos(most_frames=5, most_boxes=3), CONFIGS)
def test_equals_trying_every_path(video: Any, config: ViterbiConfig) -> None:
    frame, boxes, scores = video
    linked = link_viterbi(from_scores(frame, boxes, scores), config)
    assert_same(linked, slow.viterbi(frame, boxes[:, 0], scores, config))
    assert_shared_by_none(linked)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_best_path_has_the_largest_weight(columns: int, most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-8, 8, (columns - 1, most, most)) / 8
    present = random.random((columns, most)) < 0.8
    present[:, 0] |= ~present.any(axis=1)
    path, weight = best_path(weights, present)
    assert present[np.arange(columns), path].all()
    every = [
        (
            sum(weights[n, a, b] for n, (a, b) in enumerate(pairwise(p))),
            [-i for i in p[::-1]],
        )
        for p in product(range(most), repeat=columns)
        if present[np.arange(columns), p].all()
    ]
    assert max(every) == (weight, [-i for i in path[::-1]])


@settings(max_examples=60, deadline=None)
@given(videos(), CONFIGS, st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(video: Any, config: ViterbiConfig, random: Any) -> None:
    frame, boxes, scores = video
    order = list(range(len(frame)))
    random.shuffle(order)
    config = replace(config, tube_nms=0.5)
    shuffled = from_scores(frame[order], boxes[order], scores[order])
    assert (
        link_viterbi(shuffled, config).tubes == link_viterbi(from_scores(frame, boxes, scores), config).tubes
    )


def test_a_crossing_is_resolved_by_the_whole_path() -> None:
    """Greedy takes the better score on frame 1 and is lost; the best path knows frame 2."""
    boxes = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    scores = np.array([[0.5], [0.625], [0.5], [0.5]])
    tube = link_viterbi(from_scores([0, 1, 1, 2], boxes, scores), ViterbiConfig(nms=None, max_paths=1)).tubes[
        0
    ]
    np.testing.assert_array_equal(tube.boxes[:, 0], [0, 0, 0])


def test_frames_without_boxes() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [6, 0, 16, 10]])
    detections = from_rows([2, 5], [0, 0], boxes, [0.5, 0.25], 2)
    tube = link_viterbi(detections, ViterbiConfig()).tubes[0]
    np.testing.assert_allclose(tube.boxes[:, 0], [0, 2, 4, 6])
    linked = link_viterbi(detections, ViterbiConfig.yowo())
    np.testing.assert_allclose(linked.tubes[0].boxes[:, 0], [0, 0, 6, 6])
    assert linked.members[0].tolist() == [0, 1]


def test_a_tie_between_two_nearest_frames_goes_to_the_earlier() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [6, 0, 16, 10]])
    tube = link_viterbi(from_rows([0, 2], [0, 0], boxes, [0.5, 0.5], 1), ViterbiConfig.yowo()).tubes[0]
    np.testing.assert_array_equal(tube.boxes[:, 0], [0, 0, 6])


def test_yowo_takes_three_paths_at_most() -> None:
    boxes = np.array([[100.0 * n, 0, 100.0 * n + 9, 9] for n in range(5)])
    detections = from_scores(np.repeat([0, 1], 5), np.tile(boxes, (2, 1)), np.linspace(0.1, 1, 10)[:, None])
    assert len(link_viterbi(detections, ViterbiConfig.yowo()).tubes) == 3
    assert len(link_viterbi(detections).tubes) == 5
    yowo = ViterbiConfig.yowo()
    assert (yowo.min_score, yowo.nms, yowo.product_weight, yowo.tube_nms) == (0.005, 0.4, 0.5, 0.3)


def test_far_actors_are_never_merged() -> None:
    """Overlap keeps a path on its actor as long as it weighs more than the scores differ."""
    left, right = np.array([0.0, 0, 10, 10]), np.array([500.0, 0, 510, 10])
    boxes = np.array([left, right] * 6)
    scores = np.random.default_rng(0).uniform(0.4, 0.6, (12, 1))
    tubes = link_viterbi(from_scores(np.repeat(np.arange(6), 2), boxes, scores)).tubes
    assert [np.ptp(tube.boxes[:, 0]) for tube in tubes] == [0, 0]


def test_nothing_and_bad_input() -> None:
    assert link_viterbi(from_rows([], [], [], [], 2)).tubes == ()
    assert link_viterbi(from_rows([1], [0], [[0.0, 0, 1, 1]], [0.0], 2)).tubes == ()
    with pytest.raises(FormatError, match="not tubelets of 2 frames"):
        link_viterbi(from_scores([0], np.array([[[0.0, 0, 1, 1]] * 2]), np.array([[0.5]])))
    with pytest.raises(StadError, match="empty"):
        ViterbiConfig(empty="skip")
