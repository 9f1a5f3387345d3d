"""Scenes: spans, labels, boxes, the motions' laws, and what the dials do to all of them."""

import colorsys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from scipy import stats

from stad_lite.data.synthetic import CLASSES, MOTIONS, Settings, annotate, build_scene
from stad_lite.data.synthetic.actors import Paint, Pose, arm_law, build_parts, draw_spans
from stad_lite.tubes import Tube

LESSON = Settings.lesson()


def scenes(clips: int = 60, **dials):
    return [build_scene(Settings(**dials), seed) for seed in range(clips)]


def centres(tube: Tube) -> np.ndarray:
    return (tube.boxes[:, :2] + tube.boxes[:, 2:]) / 2


def test_spans_and_labels_agree_between_actors_and_tubes() -> None:
    for scene in scenes(30):
        actions = [action for actor in scene.actors for action in actor.actions]
        assert len(scene.tubes()) == len(actions)
        for action, tube in zip(actions, scene.tubes(), strict=True):
            assert (action.start, action.end, action.label) == (tube.start, tube.end, tube.label)
            assert 1 <= tube.start < tube.end <= LESSON.frames - 1  # idle before and after
            assert LESSON.span[0] <= len(tube) <= LESSON.span[1]
            assert tube.label in CLASSES


def test_a_tube_is_the_part_of_an_actors_presence_in_which_it_acts() -> None:
    for scene in scenes(20, actors=(2, 2)):
        assert len(scene.presence()) == 2
        for presence, tube in zip(scene.presence(), scene.tubes(), strict=True):
            assert (presence.start, len(presence)) == (0, LESSON.frames)
            np.testing.assert_array_equal(presence.boxes[tube.start : tube.end], tube.boxes)


def test_arms_are_still_when_idle_and_move_in_every_frame_of_an_action() -> None:
    for scene in scenes(40):
        for actor in scene.actors:
            (action,) = actor.actions
            change = np.diff(actor.arm)
            acting = np.zeros(LESSON.frames, dtype=bool)
            acting[action.start : action.end] = True
            assert (change[~acting] == 0).all()
            assert (np.abs(change[acting]) > 0).mean() > 0.9  # a turning point may fall between two frames


@pytest.mark.parametrize(("context", "least", "most"), [(0.0, 0.2, 0.45), (0.5, 0.55, 0.8), (1.0, 1.0, 1.0)])
def test_the_ground_tells_the_motion_as_often_as_the_dial_says(context, least, most) -> None:
    """Of the third of actions that follow no theme a third agrees with it by chance."""
    told = []
    for scene in scenes(120, context=context):
        hue = colorsys.rgb_to_hsv(*scene.mean)[0]
        theme = MOTIONS[int(hue * 3)].name
        told += [tube.label.endswith(theme) for tube in scene.tubes()]
    assert least <= np.mean(told) <= most


def test_context_changes_what_actors_do_and_neither_ground_nor_ways() -> None:
    for plain, telling in zip(scenes(20), scenes(20, context=1.0), strict=True):
        np.testing.assert_array_equal(plain.mean, telling.mean)
        for one, other in zip(plain.actors, telling.actors, strict=True):
            spans = [[(a.start, a.end, a.label.split("-")[0]) for a in who.actions] for who in (one, other)]
            assert spans[0] == spans[1]
            np.testing.assert_array_equal(one.parts[2].joint, other.parts[2].joint)


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.name)
def test_the_law_of_a_motion_has_its_period_rise_and_range(motion) -> None:
    phase = np.linspace(0, 1, 10001)
    arm = arm_law(phase, motion.rise)
    assert arm.min() == 0 and arm.max() == 1
    assert (np.diff(arm) > 0).mean() == pytest.approx(motion.rise, abs=1e-3)
    np.testing.assert_allclose(arm_law(phase + 3, motion.rise), arm, atol=1e-9)
    assert stats.kstest(arm, "uniform").statistic < 1e-3


def test_one_frame_of_the_arms_does_not_tell_the_motion() -> None:
    held = {motion.name: [] for motion in MOTIONS} | {"idle": []}
    rng = np.random.default_rng(0)
    for scene in scenes(400):
        for actor in scene.actors:
            (action,) = actor.actions
            held[action.label.split("-")[1]].append(actor.arm[rng.integers(action.start, action.end)])
            held["idle"].append(actor.arm[0])
    for places in held.values():
        assert len(places) > 200
        assert stats.kstest(places, "uniform").pvalue > 0.01


def test_motions_and_appearances_are_drawn_evenly_and_independently() -> None:
    counts = np.zeros((2, 3))
    for video in annotate(LESSON, 500).videos.values():
        for tube in video.tubes:
            counts[divmod(CLASSES.index(tube.label), 3)] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 0.01
    assert stats.chi2_contingency(counts).pvalue > 0.01


def test_the_fastest_motion_is_the_flap() -> None:
    pace = {motion.name: [] for motion in MOTIONS}
    for scene in scenes(100):
        for actor in scene.actors:
            (action,) = actor.actions
            steps = np.abs(np.diff(actor.arm[action.start : action.end + 1]))
            pace[action.label.split("-")[1]].append(steps.mean())
    assert np.mean(pace["wave"]) < np.mean(pace["chop"]) < np.mean(pace["flap"])
    assert np.mean(pace["flap"]) > 2 * np.mean(pace["wave"])


def test_a_body_in_the_mirror_is_a_body_with_the_same_arms() -> None:
    rng = np.random.default_rng(1)
    paint = {name: Paint(np.zeros(3), np.zeros(3), 1.0, True) for name in ("leg", "torso", "head", "arm")}
    hips, lean, swing, arm = rng.random((5, 2)) * 40, *(rng.random((3, 5)) - 0.5)
    pose = Pose(hips, 20 + rng.random(5), lean, swing, arm + 0.5, 0.1)
    mirrored = replace(pose, hips=hips * [-1, 1], lean=-lean, skew=-0.1)
    for left, right in ((0, 1), (1, 0), (2, 2), (3, 3), (4, 5), (5, 4)):
        here, there = build_parts(pose, paint)[left], build_parts(mirrored, paint)[right]
        np.testing.assert_allclose(here.joint * [-1, 1], there.joint, atol=1e-6)
        np.testing.assert_allclose(here.axis * [-1, 1], there.axis, atol=1e-6)


def mean_over_presence(measure, **dials) -> float:
    quiet = {"shake": 0.0, "smoothness": 1.0, "pause": 0.0, "actors": (1, 1), **dials}
    return float(np.mean([measure(centres(scene.presence()[0])) for scene in scenes(60, **quiet)]))


def test_displacement_moves_the_actors_further() -> None:
    def reach(path):
        return np.ptp(path, axis=0).max()

    reaches = [mean_over_presence(reach, displacement=d) for d in (0.0, 0.5, 1.0, 2.0)]
    assert all(b > 1.15 * a for a, b in pairwise(reaches)), reaches


def test_acceleration_bends_the_pace_and_not_the_distance() -> None:
    still = {"scale_drift": 0.0, "displacement": 1.5}

    def bend(path):
        return np.abs(np.diff(path[:, 1], 2)).mean()  # y: the arms widen the box, not its middle's height

    def hips(**dials):
        quiet = {"shake": 0.0, "smoothness": 1.0, "pause": 0.0, "actors": (1, 1), **still, **dials}
        return [(s.actors[0].parts[0].joint + s.actors[0].parts[1].joint) / 2 for s in scenes(60, **quiet)]

    bends = [np.mean([bend(path) for path in hips(acceleration=a)]) for a in (0.0, 0.5, 1.0)]
    assert bends[0] * 1.5 < bends[1] and bends[1] * 1.3 < bends[2], bends
    reaches = [np.mean([np.ptp(path, axis=0) for path in hips(acceleration=a)]) for a in (0.0, 1.0)]
    assert reaches[1] == pytest.approx(reaches[0], rel=0.15)


def test_smoothness_lowers_the_residual_of_a_low_order_polynomial() -> None:
    def residual(path):
        times = np.linspace(-1, 1, len(path))
        return np.abs(
            path - np.polynomial.polynomial.polyval(times, np.polyfit(times, path, 5)[::-1]).T
        ).mean()

    rough = [mean_over_presence(residual, smoothness=s) for s in (0.0, 0.5, 1.0)]
    assert rough[0] > 1.2 * rough[1] > 1.2 * 1.2 * rough[2], rough


def test_span_spread_spreads_the_durations_about_one_mean() -> None:
    lengths = [
        np.array([len(tube) for scene in scenes(150, span_spread=s) for tube in scene.tubes()])
        for s in (0.0, 0.5, 1.0)
    ]
    assert set(lengths[0]) == {19}
    assert 2.0 < lengths[1].std() < 3.5 < 4.5 < lengths[2].std() < 6.5
    assert {10, 28} <= set(lengths[2])
    assert [length.mean() for length in lengths] == pytest.approx([19, 19, 19], abs=0.8)


def test_target_scale_scales_the_boxes() -> None:
    heights = [
        np.mean([np.diff(s.presence()[0].boxes[:, 1::2]).mean() for s in scenes(60, target_scale=t)])
        for t in (0.5, 1.0, 1.5)
    ]
    assert heights[1] / heights[0] == pytest.approx(2.0, rel=0.1)
    assert 1.2 < heights[2] / heights[1] < 1.55  # some of the big ones stick out of the frame


def test_shake_moves_what_stands() -> None:
    still = {"displacement": 0.0, "scale_drift": 0.0, "smoothness": 1.0, "actors": (1, 1)}

    def tremble(path):
        return np.abs(np.diff(path[:, 1], 2)).mean()

    trembles = [mean_over_presence(tremble, **still | {"shake": s}) for s in (0.0, 2.0, 4.0)]
    assert trembles[0] < trembles[1] < trembles[2]


@pytest.mark.parametrize(("dial", "share"), [("occluder", 0.0), ("occluder", 0.4), ("occluder", 1.0)])
def test_the_post_stands_in_the_stated_share_of_clips(dial: str, share: float) -> None:
    stands = np.mean([scene.post is not None for scene in scenes(200, **{dial: share})])
    assert stands == pytest.approx(share, abs=0.1)
    assert share not in (0.0, 1.0) or stands == share


def test_pauses_stop_the_walk_in_the_stated_share() -> None:
    quiet = {"acceleration": 0.0, "smoothness": 1.0, "actors": (1, 1), "shake": 0.0, "scale_drift": 0.0}

    def pauses(share):
        held = 0
        for scene in scenes(100, pause=share, **quiet):
            camera, actor = scene.camera, scene.actors[0]
            hips = (actor.parts[0].joint + actor.parts[1].joint) / 2
            ground = (hips - camera.centre) / camera.zoom[:, None] + camera.place
            lean = np.abs(np.diff(ground, axis=0)).max(1)
            held += (lean < 0.02).sum() >= 4
        return held / 100

    assert pauses(0.0) < 0.05
    assert 0.1 < pauses(0.25) < 0.45
    assert pauses(1.0) > 0.9


def test_the_number_of_actors_and_actions_is_as_set() -> None:
    assert {len(scene.actors) for scene in scenes(60)} == {1, 2, 3}
    assert {len(scene.actors) for scene in scenes(5, actors=(0, 0))} == {0}
    many = scenes(40, frames=64, actions=(3, 5), span=(4, 12))
    counts = {len(actor.actions) for scene in many for actor in scene.actors}
    assert counts == {3, 4, 5}
    for scene in many:
        for actor in scene.actors:
            looks = {action.label.split("-")[0] for action in actor.actions}
            assert len(looks) == 1
            ends = [0] + [action.end for action in actor.actions]
            assert all(a.start > end for a, end in zip(actor.actions, ends, strict=False))


@given(strategies.data())
@settings(max_examples=40, deadline=None)
def test_spans_fit_whatever_is_asked(data) -> None:
    frames = data.draw(strategies.integers(6, 80))
    low = data.draw(strategies.integers(2, frames - 2))
    high = data.draw(strategies.integers(low, frames - 2))
    dials = Settings(frames=frames, span=(low, high), actions=(1, data.draw(strategies.integers(1, 8))))
    spans = draw_spans(np.random.default_rng(data.draw(strategies.integers(0, 99))), dials)
    assert spans
    ends = [0]
    for start, end in spans:
        assert ends[-1] < start < end < frames
        assert low <= end - start <= high
        ends.append(end)


@given(strategies.data())
@settings(max_examples=40, deadline=None)
def test_boxes_are_sound_whatever_the_dials(data) -> None:
    draw = data.draw
    dials = Settings(
        frames=draw(strategies.integers(6, 40)),
        height=draw(strategies.integers(24, 80)),
        width=draw(strategies.integers(24, 80)),
        actors=(1, draw(strategies.integers(1, 4))),
        span=(2, 4),
        target_scale=draw(strategies.floats(0.8, 1.9)),
        displacement=draw(strategies.floats(0, 4)),
        acceleration=draw(strategies.floats(0, 1)),
        smoothness=draw(strategies.floats(0, 1)),
        shake=draw(strategies.floats(0, 8)),
        scale_drift=draw(strategies.floats(0, 0.7)),
    )
    record = annotate(dials, [draw(strategies.integers(0, 10**6 - 1))])  # Tube and record check themselves
    for video in record.videos.values():
        for tube in video.tubes:
            assert (tube.boxes[:, :2] >= 0).all()
            assert (tube.boxes[:, 2:] <= [dials.width, dials.height]).all()
