"""Import and export of the formats that hold segments: ActivityNet and THUMOS14."""

import json
from pathlib import Path

import pytest

from stad_lite.errors import (
    FormatError,
    MissingFileError,
    NotFiniteError,
    TruncatedFileError,
    UnknownLabelError,
)
from stad_lite.records import Annotations, Predictions, Segment, VideoAnnotation, VideoPredictions, exchange
from stad_lite.records.exchange import activitynet, thumos14


def dump(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


ENTRY = {"duration": 10.0, "subset": "training", "resolution": "640x360",
         "annotations": [{"segment": [1.5, 4.0], "label": "Ski"}]}  # fmt: skip


@pytest.mark.parametrize("layout", ["database", "flat", "list"])
def test_activitynet_layouts(tmp_path: Path, layout: str) -> None:
    flat = {"v_abcdefghijk": ENTRY}
    content = {
        "database": {"database": flat, "version": "VERSION 1.3", "taxonomy": []},
        "flat": flat,
        "list": [{"name": "v_abcdefghijk", **ENTRY}],
    }[layout]
    record, report = activitynet.read_ground_truth(dump(tmp_path / "gt.json", content))
    assert record.classes == ("Ski",) and list(record.videos) == ["abcdefghijk"] and report == []
    video = record.videos["abcdefghijk"]
    assert (video.duration, video.width, video.height) == (10.0, 640, 360)
    assert video.segments == (Segment("Ski", 1.5, 4.0),)


def test_activitynet_oddities_are_counted(tmp_path: Path) -> None:
    spans = [["1.0", "2.0"], [3.0, 3.0], [5.0, 4.0], [9.0, 12.0]]
    entry = {"duration_second": 10.0, "duration_frame": 300,
             "annotations": [{"segment": span, "label": "Ski"} for span in spans]}  # fmt: skip
    record, report = activitynet.read_ground_truth(dump(tmp_path / "gt.json", {"x": entry}))
    assert record.videos["x"].num_frames == 300
    assert [(s.start, s.end) for s in record.videos["x"].segments] == [(1, 2), (3, 3), (4, 5), (9, 12)]
    assert report == [
        "times written as strings, read as numbers: 2 (x)",
        "zero-length segments, kept: 1 (x)",
        "segments with start after end, swapped: 1 (x)",
        "segments past the end of their video, kept: 1 (x)",
    ]


def test_activitynet_subsets_and_doubles(tmp_path: Path) -> None:
    other = {**ENTRY, "subset": "validation"}
    path = dump(tmp_path / "gt.json", {"a": ENTRY, "b": other})
    assert list(activitynet.read_ground_truth(path, "validation").record.videos) == ["b"]
    with pytest.raises(FormatError, match="no video is of subset 'val'"):
        activitynet.read_ground_truth(path, "val")
    double = dump(tmp_path / "d.json", {"v_abcdefghijk": ENTRY, "abcdefghijk": ENTRY})
    with pytest.raises(FormatError, match="stands twice, with and without v_"):
        activitynet.read_ground_truth(double)
    with pytest.raises(UnknownLabelError, match="video a, segment 0: label 'Ski'"):
        activitynet.read_ground_truth(path, classes=["Golf"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "no table of videos"),
        ({}, "no table of videos"),
        ({"database": {"a": 3}}, "video a: the entry is not an object"),
        ({"a": {"annotations": {}}}, "not a list"),
        ({"a": {"annotations": [{"label": "Ski"}]}}, "a segment is None"),
        ({"a": {"annotations": [{"segment": [1, 2, 3], "label": "Ski"}]}}, r"a segment is \[1, 2, 3\]"),
        ({"a": {"annotations": [{"segment": ["x", 2], "label": "Ski"}]}}, "segment is 'x', not a number"),
        ({"a": {"annotations": [{"segment": [0, True], "label": "Ski"}]}}, "segment is True"),
        ({"a": {"duration": "nan", "annotations": []}}, "not a finite number"),
    ],
)
def test_activitynet_bad_files(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        activitynet.read_ground_truth(dump(tmp_path / "gt.json", content))


def test_activitynet_broken_json(tmp_path: Path) -> None:
    path = tmp_path / "gt.json"
    path.write_text('{"database": {"a"', "utf-8")
    with pytest.raises(TruncatedFileError):
        activitynet.read_ground_truth(path)
    path.write_text('{"database": nope}', "utf-8")
    with pytest.raises(FormatError, match="not JSON"):
        activitynet.read_ground_truth(path)
    with pytest.raises(MissingFileError):
        activitynet.read_ground_truth(tmp_path / "none.json")


def test_activitynet_round_trips(tmp_path: Path) -> None:
    truth = Annotations(
        "activitynet-1.3", ("Golf", "Ski"),
        {"a": VideoAnnotation(duration=9.5, width=64, height=48, segments=(Segment("Ski", 0.1, 1 / 3),)),
         "b": VideoAnnotation(duration=3.0, segments=())},
    )  # fmt: skip
    path = activitynet.write_ground_truth(truth, tmp_path / "gt.json.gz")
    assert activitynet.read_ground_truth(path, "validation", truth.classes).record == truth
    found = Predictions(truth.classes, {"a": VideoPredictions(segments=(Segment("Golf", 0.1, 0.7, 1 / 7),))})
    path = exchange.write(found, tmp_path / "r.json", "activitynet")
    assert exchange.read(path, "activitynet", "predictions", like=truth).record == found


def test_activitynet_results_of_unknown_classes(tmp_path: Path) -> None:
    entry = {"label": "Swim", "score": 0.5, "segment": [0, 1]}
    path = dump(tmp_path / "r.json", {"results": {"v_abcdefghijk": [entry]}})
    with pytest.raises(UnknownLabelError):
        activitynet.read_results(path, ["Ski"])
    record, report = activitynet.read_results(path, ["Ski"], unknown="drop")
    assert record.videos["abcdefghijk"].segments == ()
    assert report == ["segments of unknown classes, dropped: 1 (v_abcdefghijk)"]
    del entry["score"]
    with pytest.raises(FormatError, match="score is None"):
        activitynet.read_results(dump(path, {"results": {"a": [entry]}}))


def test_thumos_text_round_trip(tmp_path: Path) -> None:
    truth = Annotations(
        "thumos14", thumos14.CLASSES,
        {"video_test_1": VideoAnnotation(segments=(Segment("Diving", 0.1, 0.3), Segment("Diving", 2.0, 2.0))),
         "video_test_2": VideoAnnotation(segments=(), ignore=((1.0, 2.5),))},
    )  # fmt: skip
    thumos14.write_ground_truth(truth, tmp_path)
    (tmp_path / "readme.txt").write_text("words of the release", "utf-8")
    record, report = thumos14.read_ground_truth(tmp_path)
    assert record == truth and report == ["zero-length segments, kept: 1 (video_test_1)"]


def test_thumos_text_bad_lines(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no class has a text file"):
        thumos14.read_ground_truth(tmp_path)
    (tmp_path / "Diving_test.txt").write_text("v  1.0 2.0\nv  1.0\n", "utf-8")
    with pytest.raises(FormatError, match=r"Diving_test\.txt: line 2 has 2 fields"):
        thumos14.read_ground_truth(tmp_path)
    (tmp_path / "Diving_test.txt").write_text("v  4.0 2.0\n", "utf-8")
    record, report = thumos14.read_ground_truth(tmp_path)
    assert record.videos["v"].segments == (Segment("Diving", 2.0, 4.0),)
    assert report[0] == ("classes without a file: 20 (BaseballPitch, BasketballDunk, Billiards and 17 more)")
    assert "spans with start after end, swapped: 1 (v)" in report


def test_thumos_detections(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text("video_test_1 62.3 64.7 9 0.0865\nvideo_test_1 5 4 9 0.1\n\n", "utf-8")
    record, report = thumos14.read_detections(path)
    kept = (Segment("BasketballDunk", 62.3, 64.7, 0.0865), Segment("BasketballDunk", 5.0, 5.0, 0.1))
    assert record.videos["video_test_1"].segments == kept
    assert report == [
        "detections with start after end, kept without length: they match nothing: 1 (video_test_1)"
    ]
    again = thumos14.write_detections(record, tmp_path / "again.txt.gz")
    assert thumos14.read_detections(again).record == record
    path.write_text("video_test_1 62.3 64.7 8 0.0865\n", "utf-8")
    with pytest.raises(UnknownLabelError, match="line 1 has class 8"):
        thumos14.read_detections(path)
    path.write_text("video_test_1 62.3 64.7 9 inf\n", "utf-8")
    with pytest.raises(NotFiniteError, match="line 1"):
        thumos14.read_detections(path)


def test_real_segment_files(stad_data: Path) -> None:
    data = stad_data / "activitynet"
    truth, _ = activitynet.read_ground_truth(data / "activity_net.v1-3.reconstructed.json.gz", "validation")
    found, report = activitynet.read_results(data / "sample_detection_prediction.json.gz", truth.classes)
    counts = [sum(len(v.segments) for v in record.videos.values()) for record in (truth, found)]
    assert counts == [7654, 7654] and any(line.startswith("zero-length") for line in report)
    fixture, _ = activitynet.read_ground_truth(data / "eval_localization/gt.json")
    small, _ = activitynet.read_results(data / "eval_localization/result.json", fixture.classes)
    assert set(small.videos) == set(fixture.videos)
    rows = (stad_data / "thumos14/Class_Index_Detection.txt").read_text("utf-8").splitlines()
    assert {int(number): name for number, name in map(str.split, rows)} == thumos14.CLASS_IDS
    json_truth, report = activitynet.read_ground_truth(stad_data / "thumos14/thumos_gt.json", "test")
    assert len(json_truth.videos) == 210 and report[0].startswith("times written as strings")
    name = "thumos14/predictions/TURN-FLOW-16_SCNN_thumos14_iou0.5.txt.gz"
    turn, report = thumos14.read_detections(stad_data / name)
    assert sum(len(v.segments) for v in turn.videos.values()) == 16565 and report == []
