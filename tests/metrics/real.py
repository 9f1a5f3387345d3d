"""The real predictions files and their truth, as records."""

from __future__ import annotations

import csv
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.boxes import xywh_to_xyxy
from stad_lite.data import ucf101_24
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

EVERY_TENTH = slice(None, None, 10)


@cache
def ucf_test(root: Path) -> Annotations:
    """UCF101-24, split 1, test: 910 videos, 1,315 tubes."""
    annotations = ucf101_24.read_pickle(root / "ucf101_24/pyannot.pkl")
    return annotations.subset(ucf101_24.split1(annotations, root / "ucf101_24/testlist01.txt")[1])


@cache
def annotator(root: Path) -> Predictions:
    """The older annotation of the same videos as predictions; its pixels count from 1 as well."""
    with gzip.open(root / "ucf101_24/saha_annotator_as_predictions.json.gz") as file:
        table = json.load(file)
    videos: dict[str, list[Tube]] = {}
    for row in table["predictions"]:
        boxes = xywh_to_xyxy(np.array(row["boxes_xywh"])) - 1
        one = Tube(row["start"], boxes, table["classes"][row["label"]], row["score"])
        videos.setdefault(row["video"], []).append(one)
    return Predictions(table["classes"], {name: VideoPredictions(tuple(row)) for name, row in videos.items()})


def annotator_frames(root: Path) -> tuple[Annotations, Predictions]:
    """Every tenth test video, the annotator's tubes as single boxes of distinct scores."""
    truth = ucf_test(root)
    truth = truth.subset(list(truth.videos)[EVERY_TENTH])
    theirs = annotator(root)
    videos, count = {}, 0
    for name in truth.videos:
        rows = [
            (frame, theirs.classes.index(tube.label), box, tube.score)
            for tube in theirs.videos[name].tubes or ()
            for frame, box in zip(tube.frames, tube.boxes, strict=True)
        ]
        scores = np.array([row[3] for row in rows]) - 1e-7 * (count + np.arange(len(rows)))
        count += len(rows)
        columns = [np.array([row[i] for row in rows]) for i in range(3)]
        videos[name] = VideoPredictions(frames=FrameBoxes(*columns, scores))
    return truth, Predictions(theirs.classes, videos)


@cache
def thumos(root: Path) -> tuple[Annotations, dict[int, str]]:
    """THUMOS14 test: 213 videos, 3,358 instances of 20 classes, the ambiguous ones as ignored spans."""
    with (root / "thumos14/test_Annotation.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    videos: dict[str, tuple[list[Segment], list[tuple[float, float]]]] = {}
    names = {int(row["type_idx"]): row["type"] for row in rows if row["type"] != "Ambiguous"}
    for row in rows:
        segments, ignored = videos.setdefault(row["video"], ([], []))
        span = float(row["start"]), float(row["end"])
        if row["type"] == "Ambiguous":
            ignored.append(span)
        else:
            segments.append(Segment(row["type"], *span))
    return Annotations(
        "thumos14",
        tuple(names.values()),
        {
            name: VideoAnnotation(segments=tuple(segments), ignore=tuple(ignored))
            for name, (segments, ignored) in videos.items()
        },
    ), names


def turn(root: Path, threshold: float, untied: bool = False) -> Predictions:
    """The detections of TURN + SCNN that were made for one threshold, in the order of the file.

    untied: scores become ranks, equal ones in the order of the file
    """
    names = thumos(root)[1]
    path = root / f"thumos14/predictions/TURN-FLOW-16_SCNN_thumos14_iou{threshold}.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [line.split() for line in file]
    scores = np.array([float(row[4]) for row in rows])
    if untied:
        scores[np.argsort(-scores, kind="stable")] = np.arange(len(scores), 0, -1) / len(scores)
    videos: dict[str, list[Segment]] = {}
    for (name, start, end, code, _), score in zip(rows, scores.tolist(), strict=True):
        videos.setdefault(name, []).append(Segment(names[int(code)], float(start), float(end), score))
    return Predictions(
        tuple(names.values()), {name: VideoPredictions(segments=tuple(row)) for name, row in videos.items()}
    )


def _spans(rows: list[dict[str, Any]]) -> tuple[Segment, ...]:
    return tuple(
        Segment(row["label"], *sorted(map(float, row["segment"])), score=row.get("score")) for row in rows
    )


def activitynet_fixture(root: Path) -> tuple[Annotations, Predictions]:
    """The small fixture with known values."""
    folder = root / "activitynet/eval_localization"
    truth = json.loads((folder / "gt.json").read_text("utf-8"))
    theirs = json.loads((folder / "result.json").read_text("utf-8"))["results"]
    classes = tuple(sorted({row["label"] for video in truth.values() for row in video["annotations"]}))
    videos = {
        name.removeprefix("v_"): VideoAnnotation(segments=_spans(video["annotations"]))
        for name, video in truth.items()
    }
    predictions = {name: VideoPredictions(segments=_spans(rows)) for name, rows in theirs.items()}
    return Annotations("fixture", classes, videos), Predictions(classes, predictions)


def activitynet_oracle(root: Path) -> tuple[Annotations, Predictions]:
    """ActivityNet-1.3 validation, and its own segments as predictions of score 1."""
    with gzip.open(root / "activitynet/activity_net.v1-3.reconstructed.json.gz") as file:
        table = json.load(file)["database"]
    with gzip.open(root / "activitynet/sample_detection_prediction.json.gz") as file:
        theirs = json.load(file)["results"]
    table = {name: video for name, video in table.items() if video["subset"] == "validation"}
    classes = tuple(sorted({row["label"] for video in table.values() for row in video["annotations"]}))
    videos = {name: VideoAnnotation(segments=_spans(video["annotations"])) for name, video in table.items()}
    predictions = {name: VideoPredictions(segments=_spans(rows)) for name, rows in theirs.items()}
    return Annotations("activitynet", classes, videos), Predictions(classes, predictions)


def ava_rows(path: Path) -> list[list[str]]:
    """The rows of a csv file, compressed or not."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.reader(content.decode().splitlines()))


def ava(root: Path) -> tuple[Annotations, Predictions, tuple[str, ...]]:
    """One video of AVA validation (pose classes), real detections of it, and the evaluated classes.

    Key timestamps in seconds stand for frames; boxes are in units of the frame. Scores, of three
    decimals in the file, are set apart by 1e-7 in its order.
    """
    lines = (root / "ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt").read_text("utf-8").splitlines()
    evaluated = tuple(line.split()[-1] for line in lines if line.strip().startswith(("id:", "label_id:")))
    classes = tuple(str(code) for code in range(1, 81))

    def videos(path: Path) -> dict[str, FrameBoxes]:
        found: dict[str, list[list[float]]] = {}
        for row in ava_rows(path):
            found.setdefault(row[0], []).append([float(value) for value in row[1:]])
        tables = {name: np.array(rows) for name, rows in found.items()}
        for rows in tables.values():
            rows[:, 6:] -= 1e-7 * np.arange(len(rows))[:, None]
        return {
            name: FrameBoxes(
                rows[:, 0],
                rows[:, 5].astype(int) - 1,
                rows[:, 1:5],
                rows[:, 6] if rows.shape[1] > 6 else None,
            )
            for name, rows in tables.items()
        }

    truth = videos(root / "ava/ava_val_v2.1_pose_only.csv.gz")
    theirs = videos(root / "ava/results_1j20qq1JyX4.csv")
    return (
        Annotations(
            "ava",
            classes,
            {name: VideoAnnotation(width=1, height=1, frames=truth[name]) for name in theirs},
        ),
        Predictions(classes, {name: VideoPredictions(frames=rows) for name, rows in theirs.items()}),
        evaluated,
    )
