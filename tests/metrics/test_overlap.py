"""v-MABO and recall against the number of proposals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from stad_lite.metrics import Rules, evaluate, recall_curve
from stad_lite.records import Annotations, Predictions, Segment
from stad_lite.tubes import tube_iou
from tests.metrics.cases import records
from tests.metrics.small import BOX, boxes, predicted, still, truth

HALF = (10.0, 10.0, 20.0, 15.0)


def test_v_mabo_by_hand() -> None:
    theirs = truth(a=[still("run", 0, 10), still("jump", 0, 10)], b=[still("run", 0, 10)])
    ours = predicted(a=[still("run", 0, 10, HALF, 0.1), still("jump", 0, 5, BOX, 0.9)])
    result = evaluate(theirs, ours, "v-mabo")
    assert result.value == pytest.approx(100 * (0.25 + 0.5) / 2)
    assert result.to_dict()["per_class"] == {"run": 25, "jump": 50}
    assert "iou" not in result.to_dict()


@settings(max_examples=60, deadline=None)
@given(records("tubes"))
def test_v_mabo_is_the_mean_best_overlap_of_any_class(case: tuple[Annotations, Predictions]) -> None:
    theirs, ours = case
    means = []
    for name in theirs.classes:
        best = [
            max((tube_iou(other, tube) for other in ours.videos[video].tubes or ()), default=0.0)
            for video, one in theirs.videos.items()
            for tube in one.tubes or ()
            if tube.label == name
        ]
        means += [np.mean(best)] if best else []
    value = evaluate(theirs, ours, "v-mabo").value
    assert value == pytest.approx(100 * np.mean(means)) if means else np.isnan(value)  # type: ignore[arg-type]


def test_recall_grows_with_the_number_of_proposals() -> None:
    theirs = truth(a=[still("run", 0, 10)], b=[still("jump", 0, 10)])
    ours = predicted(
        a=[still("jump", 0, 10, HALF, 0.9), still("run", 0, 10, BOX, 0.8)], b=[still("run", 0, 10, BOX, 0.1)]
    )
    curve = recall_curve(theirs, ours, numbers=(1, 2), iou=(0.4, 0.9))
    assert curve.recall.tolist() == [[100, 100], [50, 100]] and curve.average.tolist() == [75, 100]
    strict = recall_curve(theirs, ours, numbers=(1, 2), iou=(0.4, 0.9), same_class=True)
    assert strict.recall.tolist() == [[0, 50], [0, 50]]


def test_recall_of_frames_counts_proposals_a_frame_and_of_segments_a_video() -> None:
    theirs = truth(a=boxes((0, 0, BOX), (1, 0, BOX)))
    ours = predicted(a=boxes((0, 0, HALF), (0, 0, BOX), (1, 1, BOX), scores=[0.9, 0.8, 0.1]))
    assert recall_curve(theirs, ours, (1, 2), (0.8,), kind="frames").recall.tolist() == [[50, 100]]
    spans = truth(a=[Segment("run", 0, 4), Segment("run", 6, 9)])
    found = predicted(a=[Segment("run", 6, 9, 0.9), Segment("jump", 0, 4, 0.8)])
    assert recall_curve(spans, found, (1, 2), (0.8,), kind="segments").recall.tolist() == [[50, 100]]


def test_an_overlap_kind_by_name() -> None:
    theirs, ours = truth(a=[still("run", 0, 10)]), predicted(a=[still("run", 0, 5, score=0.5)])
    values = {
        kind: evaluate(theirs, ours, "v-mabo", convention=Rules(tube_overlap=kind)).value
        for kind in ("temporal_times_spatial", "mean_common", "temporal_iou", "volume")
    }
    expected = {"temporal_times_spatial": 50, "mean_common": 100, "temporal_iou": 50, "volume": 50}
    assert values == pytest.approx(expected)
