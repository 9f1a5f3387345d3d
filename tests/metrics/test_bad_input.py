"""What each kind of bad or odd input does: a named error, or an outcome that is counted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from stad_lite.errors import (
    FormatError,
    InvertedBoxError,
    NotFiniteError,
    StadError,
    UnknownLabelError,
    UnknownVideoError,
)
from stad_lite.metrics import Rules, bootstrap, evaluate, recall_curve
from stad_lite.records import Annotations, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube
from tests.metrics.small import BOX, boxes, predicted, still, truth


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


ONE = truth(a=[still("run", 0, 10)])


def test_unknown_video_is_an_error_that_names_it() -> None:
    ours = predicted(a=[still("run", 0, 10, score=0.5)], b=[still("run", 0, 10, score=0.9)])
    with pytest.raises(UnknownVideoError, match=r"video b.*convention"):
        evaluate(ONE, ours, "video-map")


def test_unknown_video_is_counted_where_the_convention_ignores_it() -> None:
    ours = predicted(a=[still("run", 0, 10, score=0.5)], b=[still("run", 0, 10, score=0.9)])
    result = evaluate(ONE, ours, "video-map", 0.5, "multisports")
    assert result.iou[0.5] == 100 and result.ignored == {"predictions in videos without truth": 1}
    frames = evaluate(ONE, ours, "frame-map", 0.5, "multisports")
    assert frames.ignored == {"predictions in videos without truth": 10}


def test_unknown_video_is_false_where_the_convention_says_so() -> None:
    spans = truth(a=[Segment("run", 0, 10)])
    ours = predicted(a=[Segment("run", 0, 10, 0.5)], b=[Segment("run", 0, 10, 0.9)])
    result = evaluate(spans, ours, "temporal-map", 0.5, "activitynet")
    assert result.iou[0.5] == 50 and (result.num_videos, result.num_predictions) == (1, 2)
    assert evaluate(spans, ours, "temporal-map", 0.5, "thumos14").iou[0.5] == 100


@pytest.mark.parametrize("metric", ["video-map", "frame-map"])
def test_unknown_class(metric: str) -> None:
    ours = predicted(("run", "swim"), a=[still("run", 0, 10, score=0.5), still("swim", 0, 10, score=0.9)])
    with pytest.raises(UnknownLabelError, match=r"video a.*'swim'"):
        evaluate(ONE, ours, metric)
    count = 1 if metric == "video-map" else 10
    result = evaluate(ONE, ours, metric, 0.5, "multisports")
    assert result.ignored == {"predictions of classes not evaluated": count} and result.iou[0.5] == 100


def test_an_unknown_class_without_predictions_is_harmless() -> None:
    ours = predicted(("swim", "run"), a=[still("run", 0, 10, score=0.5)])
    assert evaluate(ONE, ours, "video-map", 0.5).iou[0.5] == 100


def test_class_names_decide_not_their_numbers() -> None:
    theirs = truth(("run", "jump"), a=boxes((0, 0, BOX), (1, 1, BOX)))
    ours = predicted(("jump", "run"), a=boxes((0, 1, BOX), (1, 0, BOX), scores=[0.9, 0.8]))
    assert evaluate(theirs, ours, "frame-map").iou[0.5] == 100


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_must_be_finite(score: float) -> None:
    with pytest.raises(NotFiniteError, match="score"):
        predicted(a=[still("run", 0, 10, score=score)])
    with pytest.raises(NotFiniteError, match="score"):
        predicted(a=boxes((3, 0, BOX), scores=[score]))
    with pytest.raises(NotFiniteError, match="score"):
        predicted(a=[Segment("run", 0, 1, score)])


def test_inverted_boxes_never_reach_the_metrics() -> None:
    with pytest.raises(InvertedBoxError):
        predicted(a=boxes((3, 0, (20.0, 10.0, 10.0, 20.0)), scores=[0.5]))


@pytest.mark.parametrize("metric", ["video-map", "frame-map", "v-mabo", "errors"])
@pytest.mark.parametrize("ours", [predicted(), predicted(a=[])])
def test_empty_predictions_score_zero(metric: str, ours: Predictions) -> None:
    result = evaluate(ONE, ours, metric, None if metric == "v-mabo" else 0.5)
    assert (result.value if metric == "v-mabo" else result.iou[0.5]) == 0
    assert (result.num_truth, result.num_predictions) == (10 if metric == "frame-map" else 1, 0)


def test_a_class_without_truth_is_left_out_and_named() -> None:
    ours = predicted(a=[still("run", 0, 10, score=0.5), still("jump", 0, 10, score=0.9)])
    result = evaluate(ONE, ours, "video-map", 0.5)
    assert result.iou[0.5] == 100 and result.left_out == ("jump",) and "jump" not in result.per_class
    assert result.ignored == {"predictions of classes without truth": 1}
    assert evaluate(ONE, ours, "video-map", 0.5, Rules(classes_without_truth="zero")).iou[0.5] == 50


def test_truth_without_predictions_counts_as_zero() -> None:
    theirs = truth(a=[still("run", 0, 10), still("jump", 0, 10)])
    ours = predicted(a=[still("run", 0, 10, score=0.5)])
    assert evaluate(theirs, ours, "video-map", 0.5).iou[0.5] == 50
    lenient = Rules(classes_without_predictions="left_out")
    assert evaluate(theirs, ours, "video-map", 0.5, lenient).iou[0.5] == 100


def test_no_truth_at_all_is_no_number() -> None:
    result = evaluate(truth(a=[]), predicted(a=[still("run", 0, 9, score=0.1)]), "video-map", 0.5)
    assert np.isnan(result.iou[0.5]) and result.to_dict()["iou"] == {"0.5": None}
    assert result.left_out == ("run", "jump")


def test_a_duplicate_prediction_is_false() -> None:
    twice = [still("run", 0, 10, score=0.5)] * 2
    result = evaluate(truth(a=twice[:1], b=[still("run", 0, 5)]), predicted(a=twice), "video-map", 0.5)
    assert result.num_predictions == 2 and result.iou[0.5] == 50
    assert evaluate(ONE, predicted(a=twice), "errors", 0.5).counts["duplicate"] == 1  # type: ignore[index]


@pytest.mark.parametrize("kind", ["tubes", "frames", "segments"])
def test_duplicate_truth_is_kept_or_dropped_and_counted(kind: str) -> None:
    content: dict[str, Any] = {
        "tubes": ([still("run", 0, 9)] * 2, [still("run", 0, 9, score=1)]),
        "frames": (boxes((0, 0, BOX), (0, 0, BOX)), boxes((0, 0, BOX), scores=[1])),
        "segments": ([Segment("run", 0, 9)] * 2, [Segment("run", 0, 9, 1)]),
    }
    theirs, ours = content[kind]
    metric = {"tubes": "video-map", "frames": "frame-map", "segments": "temporal-map"}[kind]
    pair = truth(a=theirs), predicted(a=ours)
    assert evaluate(*pair, metric, 0.5).iou[0.5] == 50
    result = evaluate(*pair, metric, 0.5, Rules(duplicate_truth="dropped"))
    assert result.iou[0.5] == 100 and result.ignored == {"truth given twice": 1}


@pytest.mark.parametrize(
    ("zero_length", "start", "expected"),
    [("same_point", 3, 100), ("same_point", 4, 0), ("never", 3, 0), ("always", 4, 100)],
)
def test_segments_without_length(zero_length: str, start: float, expected: float) -> None:
    pair = truth(a=[Segment("run", 3, 3)]), predicted(a=[Segment("run", start, start, 0.5)])
    assert evaluate(*pair, "temporal-map", 0.5, Rules(zero_length=zero_length)).iou[0.5] == expected


def test_ignored_spans_count_neither_way() -> None:
    spans = VideoAnnotation(segments=(Segment("run", 0, 10),), ignore=((20.0, 30.0), (29.0, 40.0)))
    theirs = Annotations("small", ("run",), {"a": spans})
    ours = predicted(
        ("run",),
        a=[Segment("run", 0, 10, 0.5), Segment("run", 25, 40, 0.9), Segment("run", 38, 50, 0.8)],
    )
    result = evaluate(theirs, ours, "temporal-map", 0.5)
    assert result.iou[0.5] == 50 and result.ignored == {"false predictions in ignored spans": 1}
    none = evaluate(theirs, ours, "temporal-map", 0.5, Rules(ignored_share=None))
    assert none.iou[0.5] == pytest.approx(100 / 3) and not none.ignored


def test_evaluated_frames_bound_both_sides() -> None:
    video = VideoAnnotation(
        20, 100, 100, frames=boxes((0, 0, BOX), (5, 0, BOX)), evaluated_frames=np.array([5, 6])
    )
    theirs = Annotations("small", ("run",), {"a": video})
    ours = predicted(("run",), a=boxes((0, 0, BOX), (5, 0, BOX), (6, 0, BOX), scores=[0.9, 0.8, 0.7]))
    result = evaluate(theirs, ours, "frame-map")
    assert result.iou[0.5] == 100 and (result.num_truth, result.num_predictions) == (1, 2)
    assert result.ignored == {"truth on frames not evaluated": 1, "predictions on frames not evaluated": 1}


@pytest.mark.parametrize(
    ("metric", "ours", "source", "words"),
    [
        ("temporal-map", predicted(a=[still("run", 0, 9, score=1)]), "auto", "truth has no segments"),
        ("video-map", predicted(a=boxes((0, 0, BOX), scores=[1])), "auto", "predictions have no tubes"),
        ("frame-map", predicted(a=[still("run", 0, 9, score=1)]), "frames", "predictions have no frames"),
        ("errors", predicted(a=[Segment("run", 0, 9, 1)]), "auto", "predictions have no tubes"),
    ],
)
def test_a_record_that_lacks_what_the_metric_scores(
    metric: str, ours: Predictions, source: str, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        evaluate(ONE, ours, metric, source=source)


OURS = predicted(a=[still("run", 0, 10, score=0.5)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metric": "map"}, "frame-map"),
        ({"metric": "video-map", "iou": 0.0}, "thresholds"),
        ({"metric": "video-map", "iou": 1.5}, "thresholds"),
        ({"metric": "video-map", "iou": (0.5, 0.5)}, "thresholds"),
        ({"metric": "video-map", "iou": ()}, "thresholds"),
        ({"metric": "video-map", "iou": "half"}, "threshold"),
        ({"metric": "video-map", "iou": "0.5:0.9:0"}, "threshold"),
        ({"metric": "video-map", "iou": float("nan")}, "thresholds"),
        ({"metric": "video-map", "convention": "voc"}, "multisports"),
        ({"metric": "video-map", "convention": "ava"}, "frame-map"),
        ({"metric": "video-map", "source": "pixels"}, "source"),
        ({"metric": "video-map", "classes": ("swim",)}, "swim"),
        ({"metric": "video-map", "classes": ()}, "no class"),
        ({"metric": "video-map", "classes": ("run", "run")}, "twice"),
        ({"metric": "errors", "iou": (0.2, 0.5)}, "one threshold"),
        ({"metric": "video-map", "bootstrap": -1}, "draws"),
        ({"metric": "errors", "bootstrap": 10}, "interval"),
        ({"metric": "v-mabo", "iou": 0.5}, "no overlap threshold"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(StadError, match=words) as caught:
        evaluate(ONE, OURS, **arguments)
    assert ";" in str(caught.value), "an error carries a remedy"


def test_other_wrong_arguments() -> None:
    with pytest.raises(StadError, match="numbers of proposals"):
        recall_curve(ONE, OURS, numbers=(0, 1))
    with pytest.raises(StadError, match="v-mabo"):
        bootstrap(ONE, OURS, "v-mabo")
    with pytest.raises(FormatError, match="no videos"):
        evaluate(truth(), predicted(), "video-map")
    with pytest.raises(StadError, match="envelope"):
        Rules(ap="integral")


def test_a_subset_of_classes_counts_the_rest_as_ignored() -> None:
    theirs = truth(a=[still("run", 0, 10), still("jump", 0, 10)])
    ours = predicted(a=[still("run", 0, 10, score=0.5), still("jump", 0, 10, score=0.9)])
    result = evaluate(theirs, ours, "video-map", 0.5, classes=("jump",))
    assert list(result.per_class) == ["jump"]
    assert result.ignored == {
        "truth of classes not evaluated": 1,
        "predictions of classes not evaluated": 1,
    }


def test_tubes_of_one_frame_and_videos_without_anything() -> None:
    theirs = Annotations(
        "small",
        ("run",),
        {"a": VideoAnnotation(9, 50, 50, tubes=(Tube(3, np.array([BOX]), "run"),)), "b": VideoAnnotation()},
    )
    ours = Predictions(
        ("run",), {"a": VideoPredictions((Tube(3, np.array([BOX]), "run", 0.5),)), "b": VideoPredictions()}
    )
    result = evaluate(theirs, ours, "video-map", 0.5)
    assert result.iou[0.5] == 100 and result.num_videos == 2
    assert evaluate(theirs, ours, "video-map", 0.5, Rules(one_frame_overlap=False)).iou[0.5] == 0
