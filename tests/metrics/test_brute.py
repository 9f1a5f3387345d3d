"""Exact agreement with brute force on many tiny cases, ties of scores and overlaps included.

Each case is scored at nine thresholds; STAD_EXAMPLES=1000 draws more cases than the usual 60.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.metrics import Rules, evaluate
from stad_lite.records import Annotations, Predictions
from tests.metrics.cases import RULES, records, shuffled
from tests.oracles import metrics_brute as brute

THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0)
MANY = settings(max_examples=int(os.environ.get("STAD_EXAMPLES", "60")), deadline=None)
Case = tuple[Annotations, Predictions]
Things = tuple[list[brute.Thing], list[brute.Thing]]


def agree(case: Case, rules: Rules, metric: str, things: Things, overlap: Callable) -> None:
    truth, predictions = case
    found = evaluate(truth, predictions, metric, THRESHOLDS, rules).iou
    for threshold in THRESHOLDS:
        expected = brute.mean_ap(*things, truth.classes, overlap, threshold, rules)
        if expected is None:
            assert np.isnan(found[threshold])
        else:
            assert found[threshold] == pytest.approx(expected, abs=1e-9), threshold


@MANY
@given(records("frames"), RULES)
def test_frame_map(case: Case, rules: Rules) -> None:
    agree(case, rules, "frame-map", brute.frame_things(*case, rules), brute.box_iou)


@MANY
@given(records("tubes"), RULES)
def test_video_map(case: Case, rules: Rules) -> None:
    agree(case, rules, "video-map", brute.tube_things(*case), brute.tube_iou)


@MANY
@given(records("tubes"), RULES, st.sampled_from([0.0, 1.0]))
def test_video_map_with_the_bugs_named_as_fields(case: Case, rules: Rules, shift: float) -> None:
    rules = replace(
        rules, tube_overlap="temporal_times_spatial", extent_minus_one=True, detection_shift=shift
    )
    agree(case, rules, "video-map", brute.tube_things(*case), brute.tube_iou)


@MANY
@given(records("segments"), RULES)
def test_temporal_map(case: Case, rules: Rules) -> None:
    agree(case, rules, "temporal-map", brute.segment_things(*case), brute.segment_iou)


@pytest.mark.parametrize("kind", ["frames", "tubes", "segments"])
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_order_of_the_file_does_not_matter(kind: str, data: st.DataObject) -> None:
    truth, predictions = data.draw(records(kind))
    rules = replace(data.draw(RULES), tube_nms=data.draw(st.sampled_from([None, 0.3])))
    other = shuffled(predictions, np.random.default_rng(data.draw(st.integers(0, 9))))
    metric = {"frames": "frame-map", "tubes": "video-map", "segments": "temporal-map"}[kind]
    first, second = (evaluate(truth, one, metric, 0.5, rules) for one in (predictions, other))
    assert first.to_json() == second.to_json()


@MANY
@given(records("frames"))
def test_every_order_of_ties_lies_between_the_two_ends(case: Case) -> None:
    ends = [
        np.array(list(evaluate(*case, "frame-map", THRESHOLDS, Rules(ties=ties)).iou.values()))
        for ties in ("false_first", "content", "true_first")
    ]
    if not np.isnan(ends[0]).any():
        assert (ends[0] - 1e-9 <= ends[1]).all() and (ends[1] <= ends[2] + 1e-9).all()
