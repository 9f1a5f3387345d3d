"""What each field of the rules changes, on cases small enough to work out by hand."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from stad_lite.metrics import CONVENTIONS, Result, Rules, differences, evaluate, get_convention, thresholds
from stad_lite.records import Segment
from tests.metrics.small import BOX, boxes, predicted, still, truth


def frame_value(rules: Rules, theirs: list, ours: list, scores: list[float], iou: float = 0.5) -> float:
    pair = truth(a=boxes(*theirs)), predicted(a=boxes(*ours, scores=scores))
    return evaluate(*pair, "frame-map", iou, rules).iou[iou]


def test_sound_is_the_defaults() -> None:
    sound = CONVENTIONS["sound"]
    assert sound.frames == sound.tubes == sound.segments == Rules()
    assert differences(Rules()) == {}


def test_no_two_conventions_share_all_rules() -> None:
    for kind in ("frames", "tubes"):
        rules = [getattr(one, kind) for one in CONVENTIONS.values() if getattr(one, kind) is not None]
        assert len(set(rules)) == len(rules)


def test_every_field_is_explained() -> None:
    text = Rules.__doc__ or ""
    for name in (one.name for one in fields(Rules)):
        assert f"\n    {name}: " in text, name


def test_pixel() -> None:
    theirs, ours = [(0, 0, (0.0, 0.0, 1.0, 3.0))], [(0, 0, (0.0, 0.0, 1.0, 1.0))]  # 1/3, inclusive 4/8
    assert frame_value(Rules(), theirs, ours, [1]) == 0
    assert frame_value(Rules(pixel=1.0), theirs, ours, [1]) == 100


def test_match() -> None:
    """Both detections lie best on the first truth; the second also reaches the other one."""
    theirs = [(0, 0, (0.0, 0.0, 10.0, 10.0)), (0, 0, (0.0, 0.0, 10.0, 7.0))]
    ours = [(0, 0, (0.0, 0.0, 10.0, 10.0)), (0, 0, (0.0, 0.0, 10.0, 9.0))]
    assert frame_value(Rules(), theirs, ours, [0.9, 0.8]) == 100
    assert frame_value(Rules(match="best_of_all"), theirs, ours, [0.9, 0.8]) == 50


def test_truths_of_equal_overlap_are_tried_by_content_or_as_in_the_file() -> None:
    """The better detection lies midway between two truths, the other on the left one alone."""
    left, right = (0, 0, (0.0, 0.0, 10.0, 10.0)), (0, 0, (10.0, 0.0, 20.0, 10.0))
    ours = [(0, 0, (5.0, 0.0, 15.0, 10.0)), left]
    for rules, values in ((Rules(), (50, 50)), (Rules(ties="file"), (50, 100))):
        for theirs, value in zip(([left, right], [right, left]), values, strict=True):
            assert frame_value(rules, theirs, ours, [0.9, 0.8], iou=0.3) == value


def test_strict_and_digits() -> None:
    theirs, ours = [(0, 0, (0.0, 0.0, 10.0, 10.0))], [(0, 0, (0.0, 0.0, 10.0, 5.0))]
    assert frame_value(Rules(), theirs, ours, [1]) == 100
    assert frame_value(Rules(strict=True), theirs, ours, [1]) == 0
    spans = truth(a=[Segment("run", 0.1, 0.4)]), predicted(a=[Segment("run", 0.2, 0.5, 1.0)])
    assert evaluate(*spans, "temporal-map", 0.5, Rules()).iou[0.5] == 100
    assert evaluate(*spans, "temporal-map", 0.5, Rules(digits=None)).iou[0.5] in (0, 100)


@pytest.mark.parametrize(
    ("ap", "value"),
    [
        ("envelope", 100 * (1 / 2 + 1 / 2 * 2 / 3)),
        ("trapezoid", 100 * (1 / 2 + 1 / 2 * (1 / 2 + 2 / 3) / 2)),
        ("eleven_points", 100 * (6 + 5 * 2 / 3) / 11),
        ("hundred_one_points", 100 * (51 + 50 * 2 / 3) / 101),
    ],
)
def test_ap(ap: str, value: float) -> None:
    """True, false, true of two truths."""
    theirs = [(0, 0, BOX), (1, 0, BOX)]
    ours = [(0, 0, BOX), (2, 0, BOX), (1, 0, BOX)]
    assert frame_value(Rules(ap=ap), theirs, ours, [0.9, 0.8, 0.7]) == pytest.approx(value)


@pytest.mark.parametrize(
    ("ties", "value"),
    [("content", 100), ("file", 50), ("true_first", 100), ("false_first", 50), ("shared", 50)],
)
def test_ties(ties: str, value: float) -> None:
    """A false detection on a later frame stands first in the file, with the same score."""
    assert frame_value(Rules(ties=ties), [(0, 0, BOX)], [(5, 0, BOX), (0, 0, BOX)], [0.5, 0.5]) == value


def test_frames() -> None:
    theirs, ours = [(0, 0, BOX)], [(5, 0, BOX), (0, 0, BOX)]
    assert frame_value(Rules(), theirs, ours, [0.9, 0.5]) == 50
    assert frame_value(Rules(frames="annotated"), theirs, ours, [0.9, 0.5]) == 100


def test_max_per_frame_counts_all_classes() -> None:
    theirs, ours = [(0, 0, BOX)], [(0, 1, BOX), (0, 0, BOX)]
    pair = truth(a=boxes(*theirs)), predicted(a=boxes(*ours, scores=[0.9, 0.5]))
    result = evaluate(*pair, "frame-map", 0.5, Rules(max_per_frame=1))
    assert result.iou[0.5] == 0 and result.ignored["predictions beyond 1 a frame"] == 1


def test_tube_rules() -> None:
    theirs = truth(a=[still("run", 0, 10), still("run", 12, 20)])
    ours = predicted(
        a=[still("run", 0, 10, score=0.9), still("run", 0, 9, score=0.8), still("run", 12, 20, score=0.7)]
    )
    assert evaluate(theirs, ours, "video-map", 0.5).iou[0.5] == pytest.approx(100 * (1 / 2 + 1 / 3))
    result = evaluate(theirs, ours, "video-map", 0.5, Rules(tube_nms=0.3))
    assert result.iou[0.5] == 100 and result.ignored == {"predictions suppressed by tube NMS 0.3": 1}
    one = truth(a=[still("run", 0, 2)]), predicted(a=[still("run", 1, 3, score=0.9)])
    assert evaluate(*one, "video-map", 0.3).iou[0.3] == 100
    assert evaluate(*one, "video-map", 0.3, Rules(one_frame_overlap=False)).iou[0.3] == 0
    assert evaluate(*one, "video-map", 0.3, Rules(extent_minus_one=True)).iou[0.3] == 0


def test_bugs_are_off_unless_a_preset_names_them() -> None:
    for name in ("recall_epsilon", "extent_minus_one", "detection_shift", "single_precision"):
        assert not getattr(Rules(), name)
    tubes = {name: one.tubes for name, one in CONVENTIONS.items() if one.tubes is not None}
    assert [name for name, rules in tubes.items() if rules.recall_epsilon] == ["yowo"]
    assert [name for name, rules in tubes.items() if rules.extent_minus_one] == ["multisports"]
    assert [name for name, rules in tubes.items() if rules.detection_shift] == ["road"]


def test_skipped_classes() -> None:
    skipped = CONVENTIONS["multisports"].tubes
    assert skipped is not None and len(skipped.skipped_classes) == 6
    theirs = truth(("run", "basketball save"), a=[still("run", 0, 9), still("basketball save", 0, 9)])
    ours = predicted(("run", "basketball save"), a=[still("run", 0, 9, score=0.9)])
    assert evaluate(theirs, ours, "video-map", 0.5).iou[0.5] == 50
    result = evaluate(theirs, ours, "video-map", 0.5, "multisports")
    assert result.iou[0.5] == 100 and result.ignored == {"truth of classes not evaluated": 1}


def test_tubes_taken_apart_bring_their_own_scores_or_the_tubes() -> None:
    theirs = truth(a=[still("run", 0, 2)])
    tube = still("run", 0, 4, score=0.5)
    plain = evaluate(theirs, predicted(a=[tube]), "frame-map")
    assert plain.iou[0.5] == 100 and plain.num_predictions == 4  # one score: frame 0 first, then 1
    scored = type(tube)(0, tube.boxes, "run", 0.5, np.array([0.1, 0.2, 0.3, 0.4]))
    assert evaluate(theirs, predicted(a=[scored]), "frame-map").iou[0.5] == pytest.approx(50)


def test_default_thresholds() -> None:
    assert get_convention("thumos14").thresholds("temporal-map") == (0.3, 0.4, 0.5, 0.6, 0.7)
    assert get_convention("sound").thresholds("temporal-map")[-1] == 0.95
    assert thresholds("0.5:0.95") == get_convention("activitynet").thresholds("temporal-map")
    assert thresholds("0.3:0.7:0.1") == (0.3, 0.4, 0.5, 0.6, 0.7)


def test_json() -> None:
    theirs = truth(a=[still("run", 0, 9)])
    result = evaluate(theirs, predicted(a=[still("run", 0, 9, score=0.9)]), "video-map", (0.5, 0.75))
    assert json.loads(result.to_json()) == {
        "metric": "video-map",
        "convention": "sound",
        "iou": {"0.5": 100.0, "0.75": 100.0},
        "mean": 100.0,
        "per_class": {"run": {"0.5": 100.0, "0.75": 100.0}},
        "num_videos": 1,
        "num_truth": 1,
        "num_predictions": 1,
        "ignored": {},
        "left_out": ["jump"],
    }
    assert evaluate(theirs, predicted(), "video-map", per_class=False).to_dict()["per_class"] == {}
    assert np.isnan(Result("frame-map", "sound").mean)
