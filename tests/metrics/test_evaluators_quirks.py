"""What single evaluators do with truth and predictions before or beside matching, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.metrics import Rules, evaluate
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.records.exchange import ava
from tests.metrics.small import BOX, boxes, predicted, truth

ACTIONS = {1: "stand", 12: "talk to"}


def spans(convention: str | Rules, theirs: list[Segment], ours: list[Segment]):
    pair = truth(("run", "jump"), a=theirs), predicted(("run", "jump"), a=ours)
    return evaluate(*pair, "temporal-map", 0.5, convention)


@pytest.mark.parametrize(
    ("late", "opentad", "actionformer"), [(0.0, 1, 1), (0.0009, 1, 1), (0.002, 2, 2), (2.0, 2, 2)]
)
def test_truth_given_twice_counts_once_within_a_thousandth(late, opentad, actionformer) -> None:
    theirs = [Segment("run", 1.0, 5.0), Segment("run", 1.0 + late, 5.0)]
    for name, count in (("opentad", opentad), ("actionformer", actionformer), ("thumos14", 2)):
        result = spans(name, theirs, [Segment("run", 1.0, 5.0, 0.9)])
        assert result.num_truth == count and result.iou[0.5] == pytest.approx(100 / count)
        assert result.ignored.get("truth given twice", 0) == 2 - count


def test_truth_close_to_one_that_was_dropped_stays() -> None:
    theirs = [Segment("run", 1.0 + late, 5.0) for late in (0.0, 0.0008, 0.0016)]
    assert (
        spans("opentad", theirs, [Segment("run", 1, 5, 1)]).num_truth == 2
    )  # the third is far enough from the first


@pytest.mark.parametrize(("length", "opentad", "actionformer"), [(0.0, 1, 1), (0.0005, 2, 1), (0.5, 2, 2)])
def test_truth_of_hardly_any_length_is_dropped(length, opentad, actionformer) -> None:
    theirs = [Segment("run", 1.0, 5.0), Segment("run", 7.0, 7.0 + length)]
    for name, count in (("opentad", opentad), ("actionformer", actionformer), ("activitynet", 2)):
        assert spans(name, theirs, [Segment("run", 1, 5, 1)]).num_truth == count


def test_a_class_without_truth_counts_for_another_in_actionformer() -> None:
    """Segments of class 0, which has no truth, are false ones of the first class that has one."""
    theirs, ours = (
        [Segment("jump", 1.0, 5.0)],
        [Segment("run", 1.0, 5.0, 0.9), Segment("jump", 1.0, 5.0, 0.8)],
    )
    assert spans("actionformer", theirs, ours).iou[0.5] == 100
    apart = [Segment("run", 8.0, 9.0, 0.9), Segment("jump", 1.0, 5.0, 0.8)]
    assert spans("actionformer", theirs, apart).iou[0.5] == 50
    assert spans("opentad", theirs, apart).iou[0.5] == 100


def test_all_frames_count_in_road_all_frames() -> None:
    pair = truth(a=boxes((0, 0, BOX))), predicted(a=boxes((5, 0, BOX), (0, 0, BOX), scores=[0.9, 0.5]))
    values = [evaluate(*pair, "frame-map", 0.5, name).iou[0.5] for name in ("road", "road_all_frames")]
    assert values == [50, 25]  # the second class has no truth and counts as 0


def shares(*rows: tuple[int, tuple[float, ...]], scores: list[float] | None = None) -> FrameBoxes:
    return boxes(*((0, label, box) for label, box in rows), scores=scores)


def ava_value(convention: str, theirs: FrameBoxes, ours: FrameBoxes, flat: list | None = None) -> float:
    table = Annotations("t", ("x", "y"), {"a": VideoAnnotation(width=1, height=1, frames=theirs)})
    found = Predictions(("x", "y"), {"a": VideoPredictions(frames=ours, flat=flat)})  # type: ignore[arg-type]
    return evaluate(table, found, "frame-map", convention=convention).iou[0.5]


def test_mmaction2_leaves_out_classes_without_predictions() -> None:
    theirs = shares((0, (0.1, 0.1, 0.5, 0.5)), (1, (0.1, 0.1, 0.5, 0.5)))
    ours = shares((0, (0.1, 0.1, 0.5, 0.5)), scores=[0.9])
    assert (ava_value("ava", theirs, ours), ava_value("ava_mmaction2", theirs, ours)) == (50, 100)


def test_mmaction2_writes_four_decimals_first() -> None:
    """Two scores become equal, and the later one in the file then comes first."""
    theirs = shares((0, (0.1, 0.1, 0.5, 0.5)))
    ours = shares((0, (0.1, 0.1, 0.5, 0.5)), (0, (0.6, 0.6, 0.9, 0.9)), scores=[0.50004, 0.50001])
    assert (ava_value("ava", theirs, ours), ava_value("ava_mmaction2", theirs, ours)) == (100, 50)
    thin = shares((0, (0.1, 0.1, 0.2, 0.10003)))  # half of it is less than the file can tell
    assert ava_value("ava_mmaction2", thin, shares((0, (0.1, 0.1, 0.2, 0.10002)), scores=[0.9])) == 0


def test_boxes_without_area_are_false_in_mmaction2() -> None:
    theirs = shares((0, (0.1, 0.1, 0.5, 0.5)))
    ours = shares((0, (0.1, 0.1, 0.5, 0.5)), scores=[0.5])
    flat = [[0, 0, 0.9]]
    values = [ava_value(name, theirs, ours, flat) for name in ("ava", "ava_mmaction2")]
    assert values == [100, 50]


def test_true_boxes_without_area_count_in_ava(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,0902,0.1,0.1,0.5,0.5,12,1\na,0904,0.2,0.2,0.2,0.6,12,1\n", "utf-8")
    (tmp_path / "p.csv").write_text("a,0902,0.1,0.1,0.5,0.5,12,0.5\n", "utf-8")
    reading = ava.read_ground_truth(tmp_path / "t.csv", ACTIONS)
    assert "boxes without area, kept apart: 1 (a)" in reading.report
    found = ava.read_results(tmp_path / "p.csv", ACTIONS).record
    for name in ("t.json", "t.npz"):
        again = records.read(records.write(reading.record, tmp_path / name))
        assert again == reading.record
        assert isinstance(again, Annotations)
        assert evaluate(again, found, "frame-map", convention="ava").iou == {0.5: 50.0}
        sound = evaluate(again, found, "frame-map")
        assert sound.iou == {0.5: 100.0} and sound.ignored["truth without area"] == 1


def test_equal_scores_are_turned_around_for_the_curve_alone() -> None:
    """Matched as in the file (the first takes the truth), the curve begins with the last."""
    same = (0, (0.1, 0.1, 0.5, 0.5))
    twice = shares(same, same, scores=[0.5, 0.5])
    values = [
        evaluate(
            Annotations("t", ("x",), {"a": VideoAnnotation(width=1, height=1, frames=shares(same))}),
            Predictions(("x",), {"a": VideoPredictions(frames=twice)}),
            "frame-map",
            convention=Rules(ties=ties),
        ).iou[0.5]
        for ties in ("file", "curve_reversed", "file_reversed")
    ]
    assert values == [100, 50, 100]


def test_single_boxes_follow_float32() -> None:
    """In exact numbers the overlap is one half; float32 puts some of a thousand below it, others above."""
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        x, y, w, h = (round(float(v), 3) for v in random.uniform(0.1, 0.4, 4))
        theirs = shares((0, (x, y, x + w, y + 2 * h)))
        ours = shares((0, (x, y, x + w, y + h)), scores=[0.9])
        seen.add(ava_value("ava_mmaction2", theirs, ours))
    assert seen == {0.0, 100.0}
