"""A preset counts what its evaluator counts: readers repair nothing behind its back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.errors import FormatError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.records.exchange import activitynet, ava, thumos14

ACTIONS = {1: "stand", 12: "talk to"}


def ava_files(folder: Path, flat: int, score: float) -> tuple[Annotations, Predictions]:
    (folder / "t.csv").write_text("a,0902,0.1,0.1,0.5,0.5,12\n", "utf-8")
    rows = [f"a,0902,0.2,0.2,0.2,0.6,{1 if i % 2 else 12},{score}\n" for i in range(flat)]
    rows.insert(flat // 2, "a,0902,0.1,0.1,0.5,0.5,12,0.5\n")
    (folder / "p.csv").write_text("".join(rows), "utf-8")
    truth = ava.read_ground_truth(folder / "t.csv", ACTIONS).record
    return truth, ava.read_results(folder / "p.csv", ACTIONS).record


@pytest.mark.parametrize(
    ("flat", "score", "value"), [(50, 0.9, 0.0), (49, 0.9, 100.0), (80, 0.4, 100.0), (200, 0.9, 0.0)]
)
def test_flat_boxes_take_places_among_fifty_a_frame(tmp_path: Path, flat, score, value) -> None:
    truth, found = ava_files(tmp_path, flat, score)
    for name in ("p.json", "p.npz", "p.json.gz"):
        again = records.read(records.write(found, tmp_path / name))
        assert again == found
        result = evaluate(truth, again, "frame-map", convention="ava")
        assert result.iou == {0.5: value}
    dropped = result.ignored.get("predictions without area", 0)
    assert dropped + result.ignored.get("predictions beyond 50 a frame", 0) == flat + (value == 0)
    assert evaluate(truth, found, "frame-map").iou == {0.5: 100.0}  # the sound rules have no such number


def test_flat_rows_that_cannot_be_are_named() -> None:
    boxes = FrameBoxes(np.array([1]), np.array([0]), np.array([[0.0, 0, 1, 1]]), np.array([1.0]))
    for bad in ([[1, 2]], [["a", 0, 1]], [[1.5, 0, 1]], [[1, 0, float("nan")]]):
        with pytest.raises(FormatError, match="flat is no table"):
            VideoPredictions(frames=boxes, flat=bad)  # type: ignore[arg-type]
    truth = Annotations("t", ("x",), {"a": VideoAnnotation(None, 1, 1, frames=boxes)})
    found = Predictions(("x",), {"a": VideoPredictions(frames=boxes, flat=[[1, 3, 0.5]])})  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="video a: flat has a label outside"):
        evaluate(truth, found, "frame-map")


def test_inverted_segments_are_false_positives_and_no_repairs(tmp_path: Path) -> None:
    truth = Annotations(
        "t", thumos14.CLASSES, {"a": VideoAnnotation(segments=(Segment("Diving", 2.0, 8.0),))}
    )
    path = tmp_path / "d.txt"
    path.write_text("a 8 2 26 0.9\na 2 8 26 0.5\n", "utf-8")
    table = thumos14.read_detections(path)
    (tmp_path / "r.json").write_text(
        '{"results": {"a": [{"label": "Diving", "score": 0.9, "segment": [8, 2]},'
        ' {"label": "Diving", "score": 0.5, "segment": [2, 8]}]}}',
        "utf-8",
    )
    document = activitynet.read_results(tmp_path / "r.json", thumos14.CLASSES)
    for reading in (table, document):
        assert any("match nothing: 1 (a)" in line for line in reading.report)
        result = evaluate(truth, reading.record, "temporal-map", convention="thumos14")
        assert result.iou[0.5] == pytest.approx(50.0) and result.num_predictions == 2
