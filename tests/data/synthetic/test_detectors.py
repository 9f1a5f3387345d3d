"""Detectors made to order: without faults they say the truth, and each dial makes its fault and no other."""

from dataclasses import fields, replace

import numpy as np
import pytest

from stad_lite.data.synthetic import CLASSES, Settings, annotate, build_scene
from stad_lite.data.synthetic.detectors import (
    Habits,
    Noise,
    boxes_seen,
    shaken,
    tubelets_along,
    tubelets_seen,
    tubes_said,
)

SCENE = build_scene(Settings.lesson(), 2)
NONE = Noise(jitter=0, misses=0, score=0, confusion=0, idle=0.5, false_boxes=0)
GOOD = Habits(noise=0, missed=0, loose=0, wrong=0, twice=0, junk=0)


def test_without_faults_every_actor_is_seen_where_it_is_and_scored_by_what_it_does():
    frames, boxes, scores = boxes_seen(SCENE, NONE, 0)
    bodies = SCENE.presence()
    np.testing.assert_array_equal(frames, np.concatenate([body.frames for body in bodies]))
    np.testing.assert_array_equal(boxes, np.concatenate([body.boxes for body in bodies]))
    acting = np.concatenate([np.isin(b.frames, t.frames) for b, t in zip(bodies, SCENE.tubes(), strict=True)])
    np.testing.assert_allclose(scores.max(1), np.where(acting, 0.8, 0.4))
    labels = np.repeat([CLASSES.index(t.label) for t in SCENE.tubes()], [len(b) for b in bodies])
    np.testing.assert_array_equal(scores.argmax(1), labels)


def test_each_dial_makes_its_fault():
    clean = boxes_seen(SCENE, NONE, 0)
    assert len(boxes_seen(SCENE, replace(NONE, misses=1.0), 0)[0]) == 0
    assert len(boxes_seen(SCENE, replace(NONE, false_boxes=2.0), 0)[0]) > len(clean[0])
    assert not np.array_equal(boxes_seen(SCENE, replace(NONE, jitter=0.1), 0)[1], clean[1])
    confused = boxes_seen(SCENE, replace(NONE, confusion=1.0), 0)[2].argmax(1)
    assert 0.5 < (confused != clean[2].argmax(1)).mean() < 1.0
    assert boxes_seen(SCENE, replace(NONE, idle=1.0), 0)[2].max(1).min() == pytest.approx(0.8)


def test_all_dials_but_the_idle_ones_are_turned_together():
    turned, usual = Noise().times(2), Noise()
    ratios = {f.name: getattr(turned, f.name) / getattr(usual, f.name) for f in fields(Noise)}
    assert ratios == {**dict.fromkeys(ratios, 2.0), "idle": 1.0}


def test_tubelets_without_jitter_lie_on_the_body_from_every_frame():
    body = SCENE.presence()[0]
    starts, boxes = tubelets_along(body, 6, 0.0, 0.5, np.random.default_rng(0))
    assert starts.tolist() == list(range(len(body) - 5))
    np.testing.assert_array_equal(boxes[3], body.boxes[3:9])
    seen = tubelets_seen(SCENE, NONE, 0)
    assert seen.length == 6 and len(seen.start) == len(SCENE.presence()) * len(starts)


def test_noise_that_is_shared_is_the_same_for_all_tubelets_of_a_frame():
    body = SCENE.presence()[0]
    _, boxes = tubelets_along(body, 6, 0.05, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(boxes[0, 1], boxes[1, 0])
    _, boxes = tubelets_along(body, 6, 0.05, 0.0, np.random.default_rng(0))
    assert np.abs(boxes[0, 1] - boxes[1, 0]).max() > 0.1


def test_shaken_boxes_keep_a_pixel():
    boxes = shaken(np.tile([10.0, 10, 12, 12], (200, 1)), 3.0, np.random.default_rng(0))
    assert (boxes[:, 2:] - boxes[:, :2] >= 1 - 1e-9).all()


def test_habits_say_what_they_are_dialled_to():
    truth = annotate(Settings.lesson(), 12)
    count = sum(len(video.tubes) for video in truth.videos.values())

    def said(**dials):
        videos = tubes_said(truth, replace(GOOD, **dials), 0).videos
        return [(name, tube) for name, video in videos.items() for tube in video.tubes]

    for (name, tube), true in zip(said(), [t for v in truth.videos.values() for t in v.tubes], strict=True):
        assert tube.label == true.label and 0 <= tube.start - true.start <= 3, name
        np.testing.assert_allclose(tube.boxes, np.round(true.boxes[tube.start - true.start :], 2))
    assert said(missed=1.0) == []
    assert len(said(twice=1.0)) == 2 * count
    assert len(said(missed=1.0, junk=3)) == 3 * len(truth.videos)
    labels = [t.label for v in truth.videos.values() for t in v.tubes]
    assert all(tube.label != label for (_, tube), label in zip(said(wrong=1.0), labels, strict=True))
    first = said()[0][1].boxes
    size = first[0, 2:] - first[0, :2]
    np.testing.assert_allclose(said(loose=1.0)[0][1].boxes[0] - first[0], 0.4 * np.tile(size, 2), atol=0.011)
