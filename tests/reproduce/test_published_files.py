"""What chapters measure on published files: by hand on tiny sets, and equal to what is committed."""

import gzip
import json
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest

from stad_lite.cfad import trajectory
from stad_lite.cfad.labeller import KeyLabels
from stad_lite.data.synthetic import Settings, annotate
from stad_lite.data.synthetic.detectors import Habits, tubes_said
from stad_lite.errors import FormatError
from stad_lite.reproduce.published_files import (
    boxes_to_tubes,
    data_sets,
    extrapolation,
    key_timestamps,
    polynomial_tubes,
    scoring,
    second_annotation,
)
from stad_lite.reproduce.results import Results, committed
from stad_lite.tubes import Tube

CHAPTERS = {
    "evaluation/boxes_to_tubes": 1,
    "evaluation/scoring": 3,
    "cfad/polynomial_tubes": 1,
    "cfad/key_timestamps": 1,
    "ground/data_sets": 6,
    "sp_tad/bipartite_matching": 1,
    "sp_tad/sparse_proposals": 2,
    "step/extrapolation": 1,
    "step/progressive_refinement": 1,
}
"""Chapter -> published sets that it measures."""
PUBLIC = {
    "annotator, sound, video-map@0.5": 93.876,
    "annotator, sound, video-map@0.75": 90.700,
    "annotator, sound, video-map .5:.95": 89.826,
    "annotator, sound, frame-map@0.5": 96.757,
    "annotator, only match, video-map@0.2": 95.778,
    "annotator, only extent_minus_one, video-map@0.5": 93.696,
    "annotator, wrong_class": 0,
    "annotator, video-map, spread over tie orders": 0,
    "TURN, thumos14, temporal-map@0.3": 44.98,
    "TURN, thumos14, temporal-map@0.5": 25.88,
    "TURN, thumos14, temporal-map@0.7": 7.43,
    "ActivityNet fixture, average mAP": 10 * (15 / 7 + 11 / 8 + 43 / 72 + 75 / 48 + 0.5),
}
"""Figures of *How detections are scored* that public evaluators give."""
TOLERANCE = {"step/extrapolation": 0.006}
"""Chapter -> how far its figures may be off, where a network is trained for them."""
chapter = pytest.mark.parametrize("name", CHAPTERS)


def module(name):
    return import_module(f"stad_lite.reproduce.published_files.{name.split('/')[1]}")


@chapter
def test_without_data_each_missing_set_is_named_and_nothing_added(name, tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    results = Results(name, "smoke")
    told = module(name).measure(results)
    assert len(told) == CHAPTERS[name] and all("is not here" in line for line in told)
    assert results.figures == ()


@pytest.mark.slow
@chapter
@pytest.mark.usefixtures("stad_data")
def test_with_data_it_measures_what_is_committed(name):
    results = Results(name, "smoke")
    assert module(name).measure(results) == []
    assert set(results.agree(TOLERANCE.get(name, 1e-3))) == {
        figure.name for figure in committed(name).figures
    }


def test_the_committed_scores_are_those_of_public_evaluators():
    known = {figure.name: figure.value for figure in committed("evaluation/scoring").figures}
    for name, value in PUBLIC.items():
        assert known[name] == pytest.approx(value, abs=5e-3), name


def test_only_metrics_that_a_convention_has_are_scored():
    truth = annotate(Settings.smoke(), 3)
    said = tubes_said(truth, Habits(), 0)
    assert list(scoring.under("ava", truth, said, scoring.COLUMNS)) == [("frame-map", 0.5)]
    assert list(scoring.under("act", truth, said, scoring.COLUMNS)) == list(scoring.COLUMNS)


def test_the_second_annotation_counts_pixels_from_one(tmp_path):
    row = {"video": "a/b", "start": 3, "label": 1, "score": 0.5, "boxes_xywh": [[11, 21, 5, 6]] * 2}
    path = tmp_path / "tubes.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"classes": ["x", "y"], "predictions": [row]}).encode()))
    (tube,) = second_annotation.read(path).videos["a/b"].tubes
    assert (tube.label, tube.start, tube.score) == ("y", 3, 0.5)
    assert tube.boxes.tolist() == [[10, 20, 15, 26]] * 2
    for damaged in (path.read_bytes()[:30], gzip.compress(b"{}"), b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="older annotation"):
            second_annotation.read(path)


def still(start, frames, x):
    return Tube(start, np.tile([x, 0.0, x + 10, 10], (frames, 1)), "0", 0.5)


def test_tubes_are_taken_apart_and_only_whole_ones_count():
    tubes = [still(0, 5, 0.0), still(2, 5, 100.0)]
    boxes = boxes_to_tubes.taken_apart([tubes])
    assert sorted(boxes.frame.tolist()) == sorted([*range(5), *range(2, 7)])
    both = boxes_to_tubes.taken_apart([tubes, tubes[1:]])
    assert both.label.tolist() == [0] * 10 + [1] * 5
    for name, linker in boxes_to_tubes.LINKERS.items():
        assert (boxes_to_tubes.whole(tubes, linker(boxes).tubes) == 2) == name.startswith("online"), name
    assert boxes_to_tubes.whole(tubes, [still(0, 4, 0.0), still(2, 5, 100.0)]) == 1


def test_spans_that_hold_one_moment_are_counted():
    rng = np.random.default_rng(0)
    for _ in range(50):
        spans = np.sort(rng.integers(0, 12, size=(6, 2)), axis=1)
        most = max(sum(a <= t < b for a, b in spans) for t in range(12))
        assert data_sets.at_once(spans.tolist()) == most
    assert data_sets.at_once([(1, 1)]) == 0


def test_a_record_is_described_by_its_instances():
    record = annotate(Settings.smoke(), 4)
    rows = data_sets.instances(record)
    told = data_sets.describe(record)
    assert told["instances"] == len(rows) == sum(len(v.tubes) for v in record.videos.values())
    assert told["median seconds"] == pytest.approx(np.median([end - start for *_, start, end in rows]))
    assert 0 < np.median(data_sets.box_shares(record)) < 1
    after = [data_sets.stay(record, gap) for gap in (1, 4, 8)]
    assert all(near > far for near, far in pairwise(after))


def test_the_smallest_window_is_longer_than_the_share():
    seconds = np.array([1.0, 2.0, 3.0, 10.0])
    assert [data_sets.smallest_window(seconds, share) for share in (0.5, 0.75, 1.0)] == [21, 31, 101]


def test_targets_that_are_decoded_again_are_the_tubes():
    tubes = [t.boxes for v in annotate(Settings.lesson(), 3).videos.values() for t in v.tubes]
    anchors, targets = polynomial_tubes.encoded(tubes)
    assert polynomial_tubes.decoded_overlap(targets, anchors, tubes) == pytest.approx(1)
    fitted = trajectory.fit_many(targets, 2)[1]
    assert 0.2 < polynomial_tubes.decoded_overlap(fitted, anchors, tubes) < 0.99


def test_gradients_of_a_constant_residual_fall_as_the_mean_of_the_power():
    start, late = polynomial_tubes.gradients([np.ones((400, 4))])
    np.testing.assert_allclose(start, [1 / (power + 1) for power in range(9)], rtol=0.02)
    assert (late[1:] < 1e-6).all()  # nothing is left once the constant fits


def test_lines_and_copies_of_a_runner():
    """One coordinate on a straight line is foretold by Eq. 4 and fitted; a copy falls behind."""
    runner = np.arange(18)[:, None] * [1.0, 0, 1, 0] + [10.0, 10, 30, 50]
    cut = np.stack([runner, runner[::-1]])
    told = {name: extrapolation.by_frame(cut, rule) for name, rule in extrapolation.RULES.items()}
    np.testing.assert_allclose([told["Eq. 4"], told["recursive"]], 1)
    np.testing.assert_allclose(told["copy last"], (20 - np.arange(1, 13)) / (20 + np.arange(1, 13)))
    np.testing.assert_allclose(told["replay"][[0, 11]], [14 / 26, 8 / 32])
    np.testing.assert_allclose(extrapolation.best_line(cut), cut)
    step = 1 / np.sqrt(20 * 40)
    np.testing.assert_allclose(extrapolation.motion(cut, 5, 11), [[step, 0], [-step, 0]], atol=1e-12)


def test_more_keys_come_closer_and_greedy_ones_closest():
    way = np.cumsum(np.random.default_rng(0).normal(0, 1, (12, 40, 2)), axis=1)
    tubes = [np.concatenate([move, move + 20], axis=1) for move in way]
    found = key_timestamps.by_scheme(tubes, 8, (2, 4, 8), "linear")
    greedy, uniform, random = found["greedy"], found["uniform"], found["random"]
    assert greedy[0] == uniform[0] == random[0] and greedy[2] == uniform[2] == random[2]
    assert greedy[0] < uniform[1] < greedy[1] < greedy[2] and random[1] < greedy[1]
    assert key_timestamps.by_scheme(tubes, 8, (4,), "linear", seed=1)["random"] != [random[1]]


def test_sparseness_counts_labels_and_tubes():
    labels = KeyLabels([np.arange(2), np.arange(6)], np.array([8, 8]), np.array([0.9, 0.8]))
    assert key_timestamps.sparseness(labels, 0.8) == {
        "keys a tube": 4.0,
        "share of labels 1": 0.5,
        "share never reaching epsilon": 0.5,
    }
