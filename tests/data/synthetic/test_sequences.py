"""Feature sequences: exact segments, seeds, strides, and what makes the task one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data.synthetic.sequences import (
    STRIDES,
    SequenceSettings,
    draw_spells,
    sequence,
    sequence_source,
)
from stad_lite.errors import StadError, UnknownVideoError

SMOKE = SequenceSettings.smoke()
LESSON = SequenceSettings.lesson()


def lengths(settings, videos=200):
    """Return the lengths in frames of the actions of some videos."""
    spans = [
        (s.end - s.start) * settings.fps
        for video in sequence_source(settings, videos).annotations.videos.values()
        for s in video.segments
    ]
    return np.array(spans)


@pytest.mark.parametrize("settings", [SMOKE, LESSON])
def test_stages_fit_the_frames_and_the_same_seed_gives_the_same(settings):
    for seed in range(5):
        one, two = sequence(settings, seed), sequence(settings, seed)
        assert settings.frames[0] - STRIDES[-1] <= one.frames <= settings.frames[1]
        for stage, again, stride, channels in zip(
            one.stages, two.stages, STRIDES, settings.channels, strict=True
        ):
            assert stage.shape == (channels, one.frames // stride) and one.frames % stride == 0
            assert (stage >= 0).all() and np.isfinite(stage).all() and stage.std() > 0.1
            np.testing.assert_array_equal(stage, again)
        assert one.segments == two.segments and len(one.segments) >= 1
    assert not np.array_equal(sequence(settings, 0).stages[0][:, :8], sequence(settings, 1).stages[0][:, :8])


def test_splits_share_no_seed():
    seeds = [set(sequence_source(SMOKE, 50, split).seeds.values()) for split in ("train", "val", "test")]
    assert not (seeds[0] & seeds[1] or seeds[0] & seeds[2] or seeds[1] & seeds[2])


def test_segments_are_exact_in_order_and_inside():
    for seed in range(30):
        frames, spells = draw_spells(LESSON, seed)
        named = [spell for spell in spells if spell.label is not None]
        video = sequence(LESSON, seed)
        assert [(s.start * 10, s.end * 10) for s in video.segments] == [
            (pytest.approx(spell.start), pytest.approx(spell.end)) for spell in named
        ]
        ends = [0, *(spell.end for spell in spells)]
        assert all(a <= spell.start < spell.end <= frames for a, spell in zip(ends, spells, strict=False))


def test_features_change_where_the_segments_say():
    """Without noise, drift and blur the finest stage moves inside segments and nowhere else."""
    clean = replace(LESSON, noise=(0, 0, 0), drift=0.0, blur=(1, 1, 1), distractors=0.0, gap=(4, 48))
    video = sequence(clean, 3)
    moved = np.abs(video.latent).sum(1) > 0
    inside = np.zeros(video.frames, dtype=bool)
    for segment in video.segments:
        inside[round(segment.start * 10) : round(segment.end * 10)] = True
    np.testing.assert_array_equal(moved, inside)
    steps = inside.reshape(-1, 2)
    seen = video.stages[0].sum(0) > 0
    assert not seen[~steps.any(1)].any() and seen[steps.all(1)].all()


def test_durations_spread_widely_unless_the_dial_says_otherwise():
    wide, narrow = lengths(LESSON), lengths(replace(LESSON, span_spread=0.0))
    assert np.percentile(wide, 90) > 6 * np.percentile(wide, 10)
    assert np.percentile(narrow, 90) == pytest.approx(np.percentile(narrow, 25))


def test_classes_of_a_pair_are_alike_and_coarse_stages_tell_more():
    def means(stage):
        sums = np.zeros((LESSON.classes, LESSON.channels[stage]))
        clean = replace(LESSON, noise=(0, 0, 0), drift=0.0, dip=0.0)
        for seed in range(60):
            video = sequence(clean, seed)
            for segment in video.segments:
                first, last = (round(t * 10 / STRIDES[stage]) for t in (segment.start, segment.end))
                if last - first >= 3:
                    middle = video.stages[stage][:, first + 1 : last - 1]
                    sums[LESSON.class_names.index(segment.label)] += middle.mean(1)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)

    fine, coarse = means(0) @ means(0).T, means(2) @ means(2).T
    assert coarse[0, 1] > coarse[0, 2:].max() and coarse[4, 5] > coarse[4, :4].max()
    off = ~np.eye(LESSON.classes, dtype=bool)
    assert fine[off].mean() > coarse[off].mean()


def test_distractors_look_like_action_but_are_no_segment():
    assert any(spell.label is None for seed in range(5) for spell in draw_spells(LESSON, seed)[1])
    none = replace(LESSON, distractors=0.0)
    assert not any(spell.label is None for seed in range(20) for spell in draw_spells(none, seed)[1])


def test_source_answers_for_its_videos_only():
    source = sequence_source(SMOKE, [3, 5], "val")
    name = source.videos[0]
    assert name == "val/1000003" and source.fps(name) == 10.0
    assert source.num_frames(name) == source.features(name)[0].shape[1] * 2
    assert source.annotations.videos[name].duration == pytest.approx(source.num_frames(name) / 10)
    with pytest.raises(UnknownVideoError, match="train/0000000"):
        source.features("train/0000000")


@pytest.mark.parametrize(
    "change",
    [
        {"span": (9, 4)}, {"span": (4, 400)}, {"classes": 3}, {"classes": 0}, {"likeness": 1.5},
        {"noise": (0.1, 0.1)}, {"noise": (0.1, float("nan"), 0.1)}, {"drift": -1.0}, {"gap": (0, 3)},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(StadError, match=next(iter(change))):
        replace(LESSON, **change)
