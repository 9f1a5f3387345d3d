"""Records as JSON documents: what each key holds, checked key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, StadError, UnknownLabelError
from stad_lite.records.types import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

ANNOTATIONS_FORMAT = "stad-lite/annotations/1"
PREDICTIONS_FORMAT = "stad-lite/predictions/1"

_META = ("num_frames", "width", "height", "fps", "duration")


def from_document(document: Any) -> Annotations | Predictions:
    """Return the record that a parsed JSON document holds.

    raises: FormatError for wrong types, unknown keys or versions; what ``records.types`` raises
    """
    table = _table(document, "the document")
    version = table.get("format")
    if version not in (ANNOTATIONS_FORMAT, PREDICTIONS_FORMAT):
        raise FormatError(
            f"the format is {version!r}",
            remedy=f"this library reads {ANNOTATIONS_FORMAT} and {PREDICTIONS_FORMAT}",
        )
    truth = version == ANNOTATIONS_FORMAT
    _keys(table, {"format", "classes", "videos"} | ({"dataset"} if truth else set()), "the document")
    classes = tuple(_text(name, "a class") for name in _list(_need(table, "classes"), "classes"))
    index = {name: i for i, name in enumerate(classes)}
    videos: dict[str, Any] = {}
    for name, entry in _table(_need(table, "videos"), "videos").items():
        try:
            entry = _table(entry, "the entry")
            videos[name] = _annotation(entry, index) if truth else _prediction(entry, index)
        except StadError as error:
            raise error.at(video=name) from None
    if truth:
        return Annotations(_text(_need(table, "dataset"), "dataset"), classes, videos)
    return Predictions(classes, videos)


def to_document(record: Annotations | Predictions, plain: bool = True) -> dict[str, Any]:
    """Return the JSON document of a record.

    plain: turn arrays into lists of numbers, and label indices of frames into names; otherwise the
        arrays stay as they are (the ``.npz`` twin moves them out)
    """
    head: dict[str, Any] = {"format": PREDICTIONS_FORMAT}
    if isinstance(record, Annotations):
        head = {"format": ANNOTATIONS_FORMAT, "dataset": record.dataset}
    videos = {}
    for name, video in record.videos.items():
        entry: dict[str, Any] = {}
        if isinstance(video, VideoAnnotation):
            entry |= {key: getattr(video, key) for key in _META}
        if video.tubes is not None:
            entry["tubes"] = [_tube_out(tube, plain) for tube in video.tubes]
        if video.frames is not None:
            entry["frames"] = _frames_out(video.frames, record.classes if plain else None)
        if video.segments is not None:
            entry["segments"] = [_segment_out(segment) for segment in video.segments]
        if isinstance(video, VideoAnnotation):
            entry["ignore"] = [{"start": start, "end": end} for start, end in video.ignore]
            evaluated = video.evaluated_frames
            entry["evaluated_frames"] = None if evaluated is None else _out(evaluated, plain)
        videos[name] = entry
    return {**head, "classes": list(record.classes), "videos": videos}


def _out(array: np.ndarray, plain: bool) -> Any:
    return np.asarray(array).tolist() if plain else array


def _tube_out(tube: Tube, plain: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": tube.label}
    if tube.score is not None:
        entry["score"] = tube.score
    entry |= {"start": tube.start, "boxes": _out(tube.boxes, plain)}
    if tube.box_scores is not None:
        entry["box_scores"] = _out(tube.box_scores, plain)
    return entry


def _segment_out(segment: Segment) -> dict[str, Any]:
    score = {} if segment.score is None else {"score": segment.score}
    return {"label": segment.label, **score, "start": segment.start, "end": segment.end}


def _frames_out(boxes: FrameBoxes, classes: tuple[str, ...] | None) -> dict[str, Any]:
    plain = classes is not None
    label = boxes.label if classes is None else [classes[i] for i in boxes.label]
    entry: dict[str, Any] = {"frame": _out(boxes.frame, plain), "label": label}
    if boxes.score is not None:
        entry["score"] = _out(boxes.score, plain)
    entry["box"] = _out(boxes.box, plain)
    if boxes.person is not None:
        entry["person"] = _out(boxes.person, plain)
    return entry


def _annotation(entry: dict[str, Any], index: Mapping[str, int]) -> VideoAnnotation:
    _keys(entry, {*_META, "tubes", "frames", "segments", "ignore", "evaluated_frames"}, "the entry")
    ignore = [_table(span, "an ignored span") for span in _list(entry.get("ignore", []), "ignore")]
    evaluated = entry.get("evaluated_frames")
    return VideoAnnotation(
        num_frames=_maybe(entry, "num_frames", whole=True),
        width=_maybe(entry, "width", whole=True),
        height=_maybe(entry, "height", whole=True),
        fps=_maybe(entry, "fps"),
        duration=_maybe(entry, "duration"),
        ignore=tuple((_number(_need(s, "start"), "start"), _number(_need(s, "end"), "end")) for s in ignore),
        evaluated_frames=None if evaluated is None else _column(evaluated, "evaluated_frames", whole=True),
        **_content(entry, index),
    )


def _prediction(entry: dict[str, Any], index: Mapping[str, int]) -> VideoPredictions:
    _keys(entry, {"tubes", "frames", "segments"}, "the entry")
    return VideoPredictions(**_content(entry, index))


def _content(entry: dict[str, Any], index: Mapping[str, int]) -> dict[str, Any]:
    tubes, frames, segments = entry.get("tubes"), entry.get("frames"), entry.get("segments")
    return {
        "tubes": None
        if tubes is None
        else tuple(_tube_in(t, i) for i, t in enumerate(_list(tubes, "tubes"))),
        "frames": None if frames is None else _frames_in(_table(frames, "frames"), index),
        "segments": None if segments is None else tuple(_segment_in(s) for s in _list(segments, "segments")),
    }


def _tube_in(entry: Any, position: int) -> Tube:
    try:
        entry = _table(entry, "a tube")
        _keys(entry, {"label", "score", "start", "boxes", "box_scores"}, "a tube")
        scores = entry.get("box_scores")
        start = _number(_need(entry, "start"), "start", whole=True)
        return Tube(
            start=int(start),
            boxes=_boxes(_need(entry, "boxes"), int(start)),
            label=_text(_need(entry, "label"), "label"),
            score=_maybe(entry, "score"),
            box_scores=None if scores is None else _column(scores, "box_scores"),
        )
    except StadError as error:
        raise error.at(tube=position) from None


def _segment_in(entry: Any) -> Segment:
    entry = _table(entry, "a segment")
    _keys(entry, {"label", "score", "start", "end"}, "a segment")
    start, end = (float(_number(_need(entry, key), key)) for key in ("start", "end"))
    return Segment(_text(_need(entry, "label"), "label"), start, end, _maybe(entry, "score"))


def _frames_in(entry: dict[str, Any], index: Mapping[str, int]) -> FrameBoxes:
    _keys(entry, {"frame", "label", "score", "box", "person"}, "frames")
    frame = _column(_need(entry, "frame"), "frame", whole=True)
    label = _label_indices(_need(entry, "label"), index)
    optional = {
        "score": None if entry.get("score") is None else _column(entry["score"], "score"),
        "person": None if entry.get("person") is None else _column(entry["person"], "person", whole=True),
    }
    return FrameBoxes(frame, label, _boxes(_need(entry, "box")), **optional)


def _label_indices(value: Any, index: Mapping[str, int]) -> np.ndarray:
    if isinstance(value, np.ndarray):  # from the .npz twin, checked by ``check_record``
        return value
    labels = _list(value, "label")
    unknown = next((name for name in labels if not isinstance(name, str) or name not in index), None)
    if unknown is not None:
        raise UnknownLabelError(
            f"label {unknown!r} is not among the classes", remedy="add it to classes or correct it"
        )
    return np.array([index[name] for name in labels], dtype=np.int64)


def _boxes(value: Any, first_frame: int | None = None) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    rows = _list(value, "boxes")
    for position, row in enumerate(rows):
        if type(row) is not list or len(row) != 4 or not all(type(number) in (int, float) for number in row):
            frame = None if first_frame is None else first_frame + position
            raise FormatError(f"box {position} is {row!r}", frame=frame, remedy="a box is four numbers")
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _column(value: Any, what: str, whole: bool = False) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    numbers = _list(value, what)
    allowed = (int,) if whole else (int, float)
    for position, number in enumerate(numbers):
        if type(number) not in allowed:
            kind = "whole numbers" if whole else "numbers"
            raise FormatError(
                f"entry {position} of {what} is {number!r}", remedy=f"{what} is a list of {kind}"
            )
    return np.array(numbers, dtype=np.int64 if whole else np.float64)


def _number(value: Any, what: str, whole: bool = False) -> float:
    if type(value) not in ((int,) if whole else (int, float)) or not math.isfinite(value):
        raise FormatError(f"{what} is {value!r}", remedy=f"{what} is a {'whole ' if whole else ''}number")
    return value


def _maybe(entry: dict[str, Any], key: str, whole: bool = False) -> Any:
    value = entry.get(key)
    return None if value is None else _number(value, key, whole)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise FormatError(f"{what} is {value!r}", remedy=f"{what} is a string")
    return value


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{what} is a {type(value).__name__}, not an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"{what} is a {type(value).__name__}, not a list")
    return value


def _need(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise FormatError(f"key {key!r} is missing")
    return entry[key]


def _keys(entry: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise FormatError(
            f"{what} has an unknown key {unknown[0]!r}", remedy=f"known are {', '.join(sorted(known))}"
        )
