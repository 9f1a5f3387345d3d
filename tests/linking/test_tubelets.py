from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, FrameRangeError, InvertedBoxError, NotFiniteError, StadError
from stad_lite.linking import TubeletConfig, Tubelets, from_scores, link_tubelets
from tests.linking.cases import assert_same, assert_shared_by_none, videos
from tests.oracles import linking as slow

CONFIGS = st.builds(
    TubeletConfig,
    min_score=st.sampled_from([None, 0.0, 0.125]),
    nms=st.sampled_from([None, 0.31, 0.61]),
    soft=st.sampled_from(["", "mean", "sum"]),
    keep=st.sampled_from([None, 1, 3]),
    overlap=st.sampled_from([0.0, 0.34, 0.5]),
    reach=st.sampled_from([None, 1, 2, 3]),
    min_tube_score=st.sampled_from([None, 0.26]),
    min_length=st.integers(1, 4),
    nms_pixel=st.sampled_from([0.0, 1.0]),
    link_pixel=st.sampled_from([0.0, 1.0]),
)
PLAIN = TubeletConfig(min_length=1)


def walk(starts: Any, length: int = 3, x: float = 0.0, speed: float = 1.0, score: float = 0.5) -> Tubelets:
    starts = np.asarray(starts)
    left = x + speed * (starts[:, None] + np.arange(length))
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 20], axis=-1)
    return Tubelets(starts, boxes, np.full((len(starts), 1), score))


@st.composite
def tubelet_videos(draw: Any) -> Any:
    return draw(videos(most_boxes=3, length=draw(st.integers(1, 3))))


@settings(max_examples=250, deadline=None)
@given(tubelet_videos(), CONFIGS)
def test_equals_the_literal_algorithm(video: Any, config: TubeletConfig) -> None:
    reach, length = config.reach, video[1].shape[1]
    if reach is not None and reach > length:  # frames that no tubelet covers are tested below
        config = replace(config, reach=length)
    linked = link_tubelets(Tubelets(*video), config)
    assert_same(linked, slow.tubelets(*video, config))
    assert_shared_by_none(linked)


@settings(max_examples=60, deadline=None)
@given(tubelet_videos(), CONFIGS, st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(video: Any, config: TubeletConfig, random: Any) -> None:
    order = list(range(len(video[0])))
    random.shuffle(order)
    shuffled = Tubelets(*(column[order] for column in video))
    config = replace(config, tube_nms=0.5)
    assert link_tubelets(shuffled, config).tubes == link_tubelets(Tubelets(*video), config).tubes


def test_boxes_are_averaged_over_the_tubelets() -> None:
    boxes = np.array([[[0.0, 0, 10, 10]] * 2, [[2.0, 0, 12, 10]] * 2])
    tube = link_tubelets(Tubelets(np.array([5, 6]), boxes, np.array([[0.25], [0.75]])), PLAIN).tubes[0]
    assert (tube.start, tube.score) == (5, 0.5)
    np.testing.assert_allclose(tube.boxes[:, 0], [0, 1, 2])
    np.testing.assert_allclose(tube.box_scores, [0.25, 0.5, 0.75])


@pytest.mark.parametrize(("length", "missed", "tubes"), [(6, 4, 1), (6, 5, 2), (1, 0, 1), (1, 1, 2)])
def test_a_path_ends_after_the_tubelets_length_less_one(length: int, missed: int, tubes: int) -> None:
    frames = [0, 1, 2 + missed, 3 + missed]
    assert len(link_tubelets(walk(frames, length), PLAIN).tubes) == tubes


def test_moc_waits_one_start_frame_longer_than_act() -> None:
    def tubes(missed: int, config: TubeletConfig) -> int:
        found = [*range(20), *range(20 + missed, 40 + missed)]
        return len(link_tubelets(walk(found, length=6, speed=0.1), config).tubes)

    assert [tubes(missed, TubeletConfig.act()) for missed in (4, 5)] == [1, 2]
    assert [tubes(missed, TubeletConfig.moc(length=6)) for missed in (5, 6)] == [1, 2]


def test_frames_without_tubelet_are_interpolated() -> None:
    linked = link_tubelets(walk([0, 1, 5, 6], length=2), replace(PLAIN, reach=4))
    np.testing.assert_allclose(linked.tubes[0].boxes[:, 0], np.arange(8.0))


def test_far_actors_are_never_merged() -> None:
    both = [walk(range(0, 9, 2)), walk(range(1, 9, 2), x=200.0)]
    columns = [np.concatenate([getattr(one, name) for one in both]) for name in ("start", "boxes", "scores")]
    tubes = link_tubelets(Tubelets(*columns), PLAIN).tubes
    assert len(tubes) == 2
    assert all(np.ptp(tube.boxes[:, 0]) < 50 for tube in tubes)


def test_soft_suppression_decays_and_the_summed_weight_turns_negative() -> None:
    boxes = np.array([[[0.0, 0, 10, 10]] * 3, [[0.0, 0, 10, 8]] * 3])
    pair = Tubelets(np.array([0, 0]), boxes, np.array([[1.0], [0.5]]))
    config = TubeletConfig(min_length=1, nms=0.6, soft="mean")
    scores = [tube.score for tube in link_tubelets(pair, config).tubes]
    np.testing.assert_allclose(scores, [1.0, 0.5 * (1 - 0.8)])
    scores = [tube.score for tube in link_tubelets(pair, replace(config, soft="sum")).tubes]
    np.testing.assert_allclose(scores, [1.0, 0.5 * (1 - 2.4)])
    assert len(link_tubelets(pair, replace(config, soft="")).tubes) == 1


def test_the_slip_is_only_there_by_name() -> None:
    assert TubeletConfig.moc().soft == "sum"
    assert TubeletConfig.moc(negative_weights=False) == replace(TubeletConfig.moc(), soft="mean")


def test_presets_carry_the_released_numbers() -> None:
    act, moc, multisports = TubeletConfig.act(), TubeletConfig.moc(), TubeletConfig.multisports()
    assert (act.nms, act.overlap, act.keep, act.reach, act.min_tube_score) == (0.3, 0.2, 10, None, 0.01)
    assert (moc.nms, moc.overlap, moc.keep, moc.reach, moc.min_tube_score) == (0.6, 0.5, 10, 7, 0.005)
    assert (multisports.reach, multisports.link_pixel, multisports.nms_pixel) == (1, 0.0, 1.0)
    assert {one.min_length for one in (act, moc, multisports)} == {15}


def test_weak_and_short_tubes_are_counted() -> None:
    linked = link_tubelets(walk(range(20), score=0.001), TubeletConfig.act())
    assert (linked.tubes, linked.removed) == ((), {"short": 0, "weak": 1, "suppressed": 0})
    assert link_tubelets(walk(range(5)), TubeletConfig.act()).removed["short"] == 1


def test_nothing_gives_nothing() -> None:
    empty = Tubelets(np.zeros(0, dtype=int), np.zeros((0, 6, 4)), np.zeros((0, 3)))
    assert (empty.length, link_tubelets(empty).tubes) == (6, ())


def test_frame_boxes_are_tubelets_of_one_frame() -> None:
    boxes = np.array([[0.0, 0, 10, 10]] * 20)
    linked = link_tubelets(
        from_scores(np.arange(20), boxes, np.full((20, 2), 0.5)), TubeletConfig.multisports()
    )
    assert [(tube.label, len(tube)) for tube in linked.tubes] == [("0", 20), ("1", 20)]


def test_bad_input_is_named() -> None:
    good = walk([0, 1])
    with pytest.raises(FormatError, match=r"shape \(2, 3, 5\)"):
        Tubelets(good.start, np.ones((2, 3, 5)), good.scores)
    with pytest.raises(FormatError, match="1 frame numbers for 2 boxes"):
        Tubelets(good.start[:1], good.boxes, good.scores)
    with pytest.raises(FormatError, match="type float64"):
        Tubelets(good.start + 0.5, good.boxes, good.scores)
    with pytest.raises(FrameRangeError, match="before frame 0"):
        Tubelets(good.start - 1, good.boxes, good.scores)
    with pytest.raises(NotFiniteError, match="frame 1"):
        Tubelets(good.start, good.boxes, np.array([[0.5], [np.nan]]))
    wrong = good.boxes.copy()
    wrong[1, 2, 2] = -5
    with pytest.raises(InvertedBoxError, match="frame 3"):
        Tubelets(good.start, wrong, good.scores)
    with pytest.raises(StadError, match="soft"):
        TubeletConfig(soft="linear")


def test_tubelets_of_two_lengths_do_not_come_together() -> None:
    boxes: Any = [walk([0], 3).boxes[0], walk([1], 2).boxes[0]]
    with pytest.raises(FormatError, match="the boxes are not of one shape"):
        Tubelets(np.array([0, 1]), boxes, np.ones((2, 1)))
