from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, FrameRangeError, InvertedBoxError, NotFiniteError, StadError
from stad_lite.linking import OnlineConfig, OnlineLinker, from_rows, from_scores, link_online
from tests.linking.cases import assert_same, assert_shared_by_none, videos
from tests.oracles import linking as slow

CONFIGS = st.builds(
    OnlineConfig,
    min_score=st.sampled_from([0.0, 0.125]),
    pre_nms=st.sampled_from([None, 3]),
    nms=st.sampled_from([None, 0.41, 1.0]),
    keep=st.sampled_from([None, 1, 2]),
    overlap=st.sampled_from([0.0, 0.34, 0.5]),
    gap=st.integers(1, 3),
    rank=st.sampled_from([None, 1, 2]),
    motion=st.sampled_from(["last", "velocity"]),
    fill=st.sampled_from(["linear", "repeat"]),
    min_boxes=st.integers(1, 2),
    pixel=st.sampled_from([0.0, 1.0]),
)


def walk(frames: Any, x: float = 0.0, speed: float = 1.0, score: float = 0.5) -> tuple[np.ndarray, ...]:
    frames = np.asarray(frames)
    left = x + speed * frames
    return (
        frames,
        np.stack([left, 0 * left, left + 10, 0 * left + 20], axis=1),
        np.full((len(frames), 1), score),
    )


def join(*walks: tuple[np.ndarray, ...]) -> Any:
    return from_scores(*(np.concatenate(column) for column in zip(*walks, strict=True)))


@settings(max_examples=250, deadline=None)
@given(videos(), CONFIGS)
def test_equals_the_literal_algorithm(video: Any, config: OnlineConfig) -> None:
    frame, boxes, scores = video
    linked = link_online(from_scores(frame, boxes, scores), config)
    assert_same(linked, slow.online(frame, boxes[:, 0], scores, config))
    assert_shared_by_none(linked)


@settings(max_examples=80, deadline=None)
@given(videos(), CONFIGS, st.integers(0, 6))
def test_frame_after_frame_gives_the_same_at_every_moment(video: Any, config: OnlineConfig, now: int) -> None:
    frame, boxes, scores = video
    linker = OnlineLinker(2, config)
    for step in range(now + 1):
        here = frame == step
        if here.any():
            linker.step(step, boxes[here, 0], scores[here])
    seen = frame <= now
    assert linker.tubes() == link_online(from_scores(frame[seen], boxes[seen], scores[seen]), config).tubes


@settings(max_examples=80, deadline=None)
@given(videos(), CONFIGS, st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(video: Any, config: OnlineConfig, random: Any) -> None:
    frame, boxes, scores = video
    order = list(range(len(frame)))
    random.shuffle(order)
    config = replace(config, tube_nms=0.5)
    shuffled = from_scores(frame[order], boxes[order], scores[order])
    assert link_online(shuffled, config).tubes == link_online(from_scores(frame, boxes, scores), config).tubes


@settings(max_examples=60, deadline=None)
@given(videos(), CONFIGS)
def test_rows_and_scores_are_two_ways_to_say_the_same(video: Any, config: OnlineConfig) -> None:
    frame, boxes, scores = video
    place, label = np.nonzero(scores >= 0)
    rows = from_rows(frame[place], label, boxes[place, 0], scores[place, label], 2)
    assert link_online(rows, config).tubes == link_online(from_scores(frame, boxes, scores), config).tubes


def test_step_tells_which_path_a_box_joins() -> None:
    linker = OnlineLinker(2, OnlineConfig(min_score=0.1))
    box = np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]])
    first = linker.step(4, box, np.array([[0.5, 0.0], [0.6, 0.3]]))
    np.testing.assert_array_equal(first, [[1, -1], [0, 2]])  # numbered by class, then by rank
    second = linker.step(6, box[::-1], np.array([[0.6, 0.3], [0.5, 0.0]]))
    np.testing.assert_array_equal(second, first[::-1])
    assert linker.step(7, np.zeros((0, 4)), np.zeros((0, 2))).shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 5))
def test_a_hole_is_bridged_up_to_the_gap(gap: int, missed: int) -> None:
    frames = [0, 1, 2, *range(3 + missed, 6 + missed)]
    tubes = link_online(join(walk(frames, speed=0.5)), OnlineConfig(gap=gap, min_boxes=1)).tubes
    assert len(tubes) == (1 if missed < gap else 2)
    if missed < gap:
        np.testing.assert_allclose(tubes[0].boxes[:, 0], 0.5 * np.arange(6 + missed))


def test_holes_repeat_the_next_box_in_roads_preset() -> None:
    detections = join(walk([0, 1, 2, 4, 5]))
    tube = link_online(detections, OnlineConfig.road()).tubes[0]
    np.testing.assert_array_equal(tube.boxes[:, 0], [0, 1, 2, 4, 4, 5])
    tube = link_online(detections, replace(OnlineConfig.retina3d(), min_boxes=4)).tubes[0]
    np.testing.assert_allclose(tube.boxes[:, 0], [0, 1, 2, 3, 4, 5])


def test_velocity_follows_what_the_last_box_loses() -> None:
    detections = join(walk(range(4), speed=3.0), walk([4], x=-1.0, speed=4.0))  # 0, 3, 6, 9, then 15
    last = OnlineConfig(overlap=0.5, min_boxes=1)
    assert [len(tube) for tube in link_online(detections, last).tubes] == [4, 1]
    assert [len(tube) for tube in link_online(detections, replace(last, motion="velocity")).tubes] == [5]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=30, unique=True))
def test_far_actors_are_never_merged(seen: list[tuple[int, int]]) -> None:
    detections = join(*(walk([frame], x=100.0 * actor, speed=1.0) for frame, actor in seen))
    for tube in link_online(detections, OnlineConfig(min_boxes=1)).tubes:
        assert np.ptp(tube.boxes[:, 0]) < 50


def test_the_better_path_is_served_first() -> None:
    weak, strong = walk([0, 1], x=0.0, speed=0.0, score=0.25), walk([0, 1], x=4.0, speed=0.0, score=0.75)
    detections = join(weak, strong, walk([2], x=2.0, speed=0.0))
    config = OnlineConfig(nms=None, overlap=0.6, min_boxes=1)
    best, other = link_online(detections, config).tubes
    assert (best.start, best.end, best.score) == (0, 3, pytest.approx(2 / 3))
    assert (other.start, other.end) == (0, 2)


def test_score_is_the_mean_and_short_paths_are_counted() -> None:
    detections = join(walk(range(5)), walk([2], x=300.0))
    linked = link_online(detections, OnlineConfig())
    assert [tube.score for tube in linked.tubes] == [0.5]
    assert linked.removed == {"short": 1, "weak": 0, "suppressed": 0}


def test_tubes_under_a_better_one_are_suppressed_and_counted() -> None:
    detections = join(walk(range(5)), walk(range(5), x=1.0, score=0.25))
    config = OnlineConfig(nms=None)
    assert len(link_online(detections, config).tubes) == 2
    linked = link_online(detections, replace(config, tube_nms=0.5))
    assert (len(linked.tubes), linked.removed["suppressed"]) == (1, 1)


def test_presets_carry_the_released_numbers() -> None:
    road, retina = OnlineConfig.road(), OnlineConfig.retina3d()
    assert (road.min_score, road.pre_nms, road.nms, road.keep) == (0.001, 50, 0.45, 10)
    assert (road.overlap, road.gap, road.min_boxes, road.pixel, road.fill) == (0.1, 3, 4, 1.0, "repeat")
    assert (retina.overlap, retina.gap, retina.min_boxes, retina.min_score) == (0.5, 4, 6, 0.025)
    assert (retina.motion, retina.fill) == ("velocity", "linear")


def test_nothing_gives_nothing() -> None:
    empty = from_rows([], [], [], [], 3)
    assert link_online(empty).tubes == () and OnlineLinker(3).tubes() == ()
    assert link_online(join(walk(range(6), score=0.0))).tubes == ()


def test_names_of_classes() -> None:
    detections = join(walk(range(4)))
    assert link_online(detections, classes=("run",)).tubes[0].label == "run"
    with pytest.raises(FormatError, match="2 class names for 1"):
        link_online(detections, classes=("run", "jump"))


def test_bad_input_is_named() -> None:
    linker = OnlineLinker(1)
    linker.step(3, *walk([3])[1:])
    with pytest.raises(FrameRangeError, match="frame 3 arrives after frame 3"):
        linker.step(3, *walk([3])[1:])
    with pytest.raises(FormatError, match=r"shape \(1, 2\)"):
        linker.step(4, walk([4])[1], np.ones((1, 2)))
    with pytest.raises(NotFiniteError, match="frame 5"):
        linker.step(5, walk([5])[1], np.array([[np.nan]]))
    with pytest.raises(InvertedBoxError, match="frame 6"):
        linker.step(6, np.array([[5.0, 0, 1, 1]]), np.array([[0.5]]))
    with pytest.raises(FormatError, match="not tubelets of 2 frames"):
        link_online(from_scores(np.array([0]), np.array([[[0.0, 0, 1, 1]] * 2]), np.array([[0.5]])))


@pytest.mark.parametrize(
    "wrong", [{"gap": 0}, {"fill": "spline"}, {"motion": "up"}, {"keep": 0}, {"overlap": float("nan")}]
)
def test_bad_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(StadError, match=next(iter(wrong))):
        OnlineConfig(**wrong)


def test_a_refused_frame_leaves_the_linker_as_it_was() -> None:
    linker = OnlineLinker(1, OnlineConfig(min_boxes=1))
    linker.step(0, *walk([0])[1:])
    before = linker.tubes()
    with pytest.raises(NotFiniteError):
        linker.step(1, walk([1])[1], np.array([[np.inf]]))
    assert linker.tubes() == before
    linker.step(1, *walk([1])[1:])
    assert len(linker.tubes()[0]) == 2
