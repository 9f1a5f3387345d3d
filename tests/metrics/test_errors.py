"""CFAD's error types, missed and background, and the gain of fixing each."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from stad_lite.metrics import Rules, evaluate, find_errors
from stad_lite.metrics.errors import TYPES, Errors
from stad_lite.metrics.inputs import task
from stad_lite.records import Annotations, Predictions
from tests.metrics.cases import records
from tests.metrics.small import boxes, predicted, still, truth
from tests.oracles import metrics_brute as brute

FAR = (60.0, 60.0, 70.0, 70.0)
NEAR = (10.0, 10.0, 20.0, 13.0)  # overlap .3 with BOX

THEIRS = truth(
    a=[still("run", 0, 10), still("jump", 0, 10, FAR)], b=[still("run", 0, 10)], c=[still("jump", 0, 10)]
)
OURS = predicted(
    a=[
        still("run", 0, 10, score=0.9),  # true
        still("run", 0, 9, score=0.8),  # duplicate
        still("run", 0, 10, FAR, score=0.7),  # wrong class
        still("jump", 15, 20, FAR, score=0.6),  # background: shares no frame with the jump
    ],
    b=[still("run", 0, 10, NEAR, score=0.5), still("run", 3, 8, (80.0, 1.0, 99.0, 9.0), score=0.4)],
)


def kinds(theirs: Annotations, ours: Predictions, near: float = 0.1, iou: float = 0.5) -> list[str]:
    rules = Rules()
    errors = find_errors(task(theirs, ours, rules, "tubes"), "tubes", iou, rules, near=near)
    order = np.argsort(-errors.score, kind="stable")
    return [TYPES[code] for code in errors.kind[order]]


def test_one_of_each() -> None:
    expected = ["true_positive", "duplicate", "wrong_class", "background", "bad_localization", "background"]
    assert kinds(THEIRS, OURS) == expected
    result = evaluate(THEIRS, OURS, "errors", 0.5)
    assert result.counts == {
        "true_positive": 1,
        "wrong_class": 1,
        "bad_localization": 1,
        "duplicate": 1,
        "background": 2,
        "missed": 1,  # the jump of c; that of a was called a run, the run of b was badly placed
    }


def test_cfads_own_four_types_know_no_background_where_the_class_occurs() -> None:
    found = kinds(THEIRS, OURS, near=0.0)
    assert found[3] == "bad_localization" and found[5] == "bad_localization"


def test_the_value_is_the_video_map() -> None:
    plain = evaluate(THEIRS, OURS, "video-map", 0.5)
    result = evaluate(THEIRS, OURS, "errors", 0.5)
    assert result.iou == plain.iou and result.per_class == plain.per_class


def test_gains_by_hand() -> None:
    gain = evaluate(THEIRS, OURS, "errors", 0.5).gain
    assert gain is not None
    # run: truths a, b; by score: true, false, false (wrong class), false, false -> AP 1/2; jump: 0 of 2.
    # wrong class fixed: the .7 becomes a true jump, above the background: jump 1/2, run unchanged.
    assert gain["wrong_class"] == pytest.approx(25)
    # bad place fixed: run is true, false, false, true -> 1/2 + 1/2 x 2/4
    assert gain["bad_localization"] == pytest.approx(12.5)
    # dropping what comes after the only true run changes nothing, as no truth follows it
    assert gain["duplicate"] == gain["background"] == pytest.approx(0)
    # missed: c's jump is no longer asked for, but nothing finds the other jump: no gain
    assert gain["missed"] == pytest.approx(0)


def test_fixing_background_and_missed_can_gain() -> None:
    theirs = truth(("run",), a=[still("run", 0, 10)], b=[still("run", 0, 10)])
    ours = predicted(("run",), a=[still("run", 0, 10, FAR, 0.9), still("run", 0, 10, score=0.8)])
    result = evaluate(theirs, ours, "errors", 0.5)
    assert result.iou[0.5] == 25 and result.gain is not None
    assert result.gain["background"] == pytest.approx(25)
    assert result.gain["missed"] == pytest.approx(25)


def test_two_after_the_same_truth_gain_once() -> None:
    theirs = truth(("run",), a=[still("run", 0, 10)])
    ours = predicted(("run",), a=[still("run", 0, 10, NEAR, 0.9), still("run", 0, 10, NEAR, 0.8)])
    result = evaluate(theirs, ours, "errors", 0.5)
    assert result.counts is not None and result.counts["bad_localization"] == 2
    assert result.gain is not None and result.gain["bad_localization"] == 100


def test_of_frames_and_segments() -> None:
    theirs = truth(a=boxes((0, 0, FAR), (1, 1, FAR)))
    ours = predicted(a=boxes((0, 0, FAR), (0, 1, FAR), (2, 1, FAR), scores=[0.9, 0.8, 0.7]))
    result = evaluate(theirs, ours, "errors", 0.5)
    assert result.counts is not None
    assert {name: n for name, n in result.counts.items() if n} == {
        "true_positive": 1,
        "wrong_class": 1,
        "background": 1,
        "missed": 1,
    }


@settings(max_examples=60, deadline=None)
@given(records("tubes"))
def test_against_the_definitions(case: tuple[Annotations, Predictions]) -> None:
    truths, detections = brute.tube_things(*case)
    rules = Rules()
    for name in case[0].classes:
        brute.match(
            [one for one in truths if one.label == name],
            [one for one in detections if one.label == name],
            brute.tube_iou,
            0.4,
            rules,
        )
    detections.sort(key=lambda one: (-one.score, one.content))
    expected = []
    for one in detections:
        here = [(brute.tube_iou(one.shape, t.shape, rules), t.label) for t in truths if t.group == one.group]
        own = max((value for value, label in here if label == one.label), default=-1)
        other = max((value for value, label in here if label != one.label), default=-1)
        if one.hit:
            expected.append("true_positive")
        elif float(own) >= 0.4 - 1e-12:
            expected.append("duplicate")
        elif float(other) >= 0.4 - 1e-12:
            expected.append("wrong_class")
        else:
            expected.append("bad_localization" if own >= Fraction(1, 10) else "background")
    assert sorted(kinds(*case, iou=0.4)) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(records("tubes"))
def test_every_prediction_has_one_kind_and_no_fix_of_false_ones_costs(
    case: tuple[Annotations, Predictions],
) -> None:
    result = evaluate(*case, "errors", 0.5)
    assert result.counts is not None and result.gain is not None
    assert sum(result.counts[name] for name in TYPES[:5]) == result.num_predictions
    assert set(result.gain) == set(TYPES[1:])
    if result.iou[0.5] == result.iou[0.5]:
        for name in ("duplicate", "background"):
            assert result.gain[name] >= -1e-9


def test_errors_is_a_plain_record() -> None:
    rules = Rules()
    found = find_errors(task(THEIRS, OURS, rules, "tubes"), "tubes", 0.5, rules)
    assert isinstance(found, Errors) and found.missed.sum() == 1 and found.found.sum() == 1
