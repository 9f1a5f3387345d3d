"""The experiment with all systems under one protocol: what they share, how they are judged, a whole run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from stad_lite.catalogue import ENTRIES
from stad_lite.metrics.errors import TYPES
from stad_lite.records import Predictions, Segment, VideoPredictions
from stad_lite.reproduce.experiments import protocol as experiment
from stad_lite.systems.truth import segment_truth

BOXES = {"frame_map", "video_map_20", "video_map_50", "video_map_all"}
SPANS = {"span_map", "span_map_50", *(f"span_gain_{kind}" for kind in TYPES[1:])}
SHARES = {*BOXES, "span_map", "span_map_50"}
COSTS = {"detect_ms", "cpu_seconds"}


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    """Clips and pretrained networks are made once for the file."""
    monkeypatch.setenv("STAD_CACHE", str(tmp_path_factory.getbasetemp() / "protocol"))


def test_all_systems_are_compared():
    assert list(experiment.VARIANTS) == list(ENTRIES)


@pytest.mark.parametrize("variant", experiment.VARIANTS)
def test_a_variant_is_a_systems_lesson_but_for_the_length_of_clips(variant):
    entry, change = ENTRIES[variant], experiment.VARIANTS[variant]
    config = experiment.config_of(variant, "lesson")
    assert config == replace(entry.config("lesson"), **change)
    assert tuple(config.size) == (experiment.settings("lesson").height, experiment.settings("lesson").width)
    assert all(getattr(entry.config("lesson"), name) != value for name, value in change.items())
    for name in {"length", "window"} & set(change):
        assert change[name] == experiment.settings("lesson").frames
    ours, theirs = experiment.schedule(variant, "lesson"), entry.schedule("lesson")
    assert replace(ours, steps=theirs.steps, batch=theirs.batch) == theirs
    assert 2 * ours.steps == theirs.steps and (ours.batch == theirs.batch or variant == "sp_tad")


def test_clips_are_untrimmed_and_those_that_judge_are_nobodys_to_learn_from():
    test = experiment.clips("smoke", "test")
    assert test.videos == experiment.clips("smoke", "test", seed=3).videos
    seen = [set(experiment.clips("smoke", "train", seed).videos) for seed in (0, 1)]
    assert not seen[0] & seen[1] and not set(test.videos) & (seen[0] | seen[1])
    for video in test.annotations.videos.values():
        assert video.tubes and all(len(tube) < video.num_frames for tube in video.tubes)
    assert experiment.settings("lesson").span[1] < experiment.settings("lesson").frames


def perfect(source):
    """The truth as predictions: boxes, tubes, and what they are called."""
    return Predictions(
        source.classes,
        {
            name: VideoPredictions(tubes=tuple(replace(tube, score=0.5) for tube in video.tubes))
            for name, video in source.annotations.videos.items()
        },
    )


def test_the_truth_is_found_perfect():
    source = experiment.clips("smoke", "test")
    figures = experiment.scores(source, perfect(source))
    assert [figures[name] for name in SHARES] == pytest.approx([100] * len(SHARES))
    assert all(value == pytest.approx(0) for name, value in figures.items() if "gain" in name)


def test_spans_keep_labels_scores_and_seconds():
    source = experiment.clips("smoke", "test")
    spans = experiment.spans(source, perfect(source))
    for name, video in segment_truth(source).videos.items():
        ours = spans.videos[name].segments
        assert [replace(one, score=None) for one in ours] == list(video.segments)
        assert {one.score for one in ours} == {0.5}


def test_segments_are_left_as_they_are_and_have_no_boxes():
    source = experiment.clips("smoke", "test")
    told = {name: VideoPredictions(segments=(Segment("warm-wave", 0.0, 1.0, 0.3),)) for name in source.videos}
    found = Predictions(source.classes, told)
    assert experiment.spans(source, found).videos == told
    assert set(experiment.scores(source, found)) == SPANS


def test_wrong_places_are_seen_in_tubes_and_not_in_spans():
    source = experiment.clips("smoke", "test")
    corner = np.array([0.0, 0.0, 2.0, 2.0])
    elsewhere = {
        name: VideoPredictions(tubes=tuple(replace(one, boxes=0 * one.boxes + corner) for one in video.tubes))
        for name, video in perfect(source).videos.items()
    }
    figures = experiment.scores(source, Predictions(source.classes, elsewhere))
    assert figures["video_map_20"] == figures["frame_map"] == 0
    assert figures["span_map"] == pytest.approx(100)


@pytest.mark.parametrize("variant", experiment.VARIANTS)
def test_a_run(variant):
    figures = experiment.run(variant, 0, "smoke")
    tubes = {f"tube_gain_{kind}" for kind in TYPES[1:]} | BOXES if variant != "sp_tad" else set()
    assert set(figures) == tubes | SPANS | COSTS
    assert all(math.isfinite(value) for value in figures.values())
    assert all(0 <= figures[name] <= 100 for name in SHARES & set(figures))
    assert figures["cpu_seconds"] > figures["detect_ms"] / 1000 > 0


@pytest.mark.parametrize("variant", ["baseline", "cfad"])
def test_a_seed_sets_weights_and_order(variant, monkeypatch):
    asked = []

    def watched(system, data, config, *_):
        weights = np.concatenate([value.numpy().ravel() for value in system.network.state_dict().values()])
        asked.append((config.seed, data.seed, weights))

    monkeypatch.setattr(experiment, "fit_unkept", watched)
    for seed in (0, 1, 1):
        experiment.trained(variant, seed, "smoke")
    assert [one[:2] for one in asked] == [(0, 0), (1, 1), (1, 1)]
    assert not np.array_equal(asked[0][2], asked[1][2]) and np.array_equal(asked[1][2], asked[2][2])


def test_what_seeds_share_is_told():
    for name, entry in ENTRIES.items():
        assert ("pretrained backbone" in experiment.shared(name)) is entry.pretrains
