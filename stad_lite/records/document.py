"""Records as JSON documents: what each key holds, checked key by key."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, NotFiniteError, StadError, TruncatedFileError, UnknownLabelError
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

_LARGEST = 2**63 - 1
_META = ("num_frames", "width", "height", "fps", "duration")


_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_PIECES = {word[:length] for word in _WORDS for length in range(len(word))} | {
    ".",
    "e",
    "E",
    "e+",
    "e-",
    "E+",
    "E-",
}
"""What may be left of a word or number where a text was cut off inside it."""


def parse(data: bytes) -> Any:
    """Return what a JSON text in UTF-8 holds; NaN and infinities pass, to be refused where they stand.

    raises: TruncatedFileError, FormatError (also for a key that stands twice in one object)
    """
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_no_doubles)
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            raise _ends_early() from None
        raise FormatError(
            f"not UTF-8 ({error.reason} at byte {error.start})", remedy="save the text as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].rstrip()
        cut_escape = error.msg.startswith("Invalid \\u") and len(rest) < 6
        if rest in _PIECES or error.msg.startswith("Unterminated") or cut_escape:
            raise _ends_early() from None
        raise FormatError(
            f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}", remedy="correct the text"
        ) from None
    except RecursionError:
        raise FormatError("not a record: the JSON is nested too deeply", remedy="check the file") from None
    except StadError:
        raise
    except ValueError:  # Python refuses to convert whole numbers of thousands of digits
        raise FormatError("a number is too long to read", remedy="correct the number") from None


def _ends_early() -> TruncatedFileError:
    return TruncatedFileError("the JSON ends too early", remedy="copy the file again")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FormatError(f"key {key!r} stands twice in one object", remedy="keep one of the two")
            seen.add(key)
    return table


def from_document(document: Any) -> Annotations | Predictions:
    """Return the record that a parsed JSON document holds.

    raises: FormatError for wrong types, unknown keys or versions, NotFiniteError, UnknownLabelError; what
        ``records.types`` raises
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
        else:
            entry |= {} if video.fps is None else {"fps": video.fps}
        entry |= {} if video.flat is None else {"flat": video.flat.tolist()}
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
            if video.times is not None:
                entry["times"] = _out(video.times, plain)
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
    known = {*_META, "tubes", "frames", "segments", "ignore", "evaluated_frames", "times", "flat"}
    _keys(entry, known, "the entry")
    evaluated = entry.get("evaluated_frames")
    return VideoAnnotation(
        num_frames=_maybe(entry, "num_frames", whole=True),
        width=_maybe(entry, "width", whole=True),
        height=_maybe(entry, "height", whole=True),
        fps=_maybe(entry, "fps"),
        duration=_maybe(entry, "duration"),
        ignore=tuple(_span(span) for span in _list(entry.get("ignore", []), "ignore")),
        evaluated_frames=None if evaluated is None else _column(evaluated, "evaluated_frames", whole=True),
        times=None if entry.get("times") is None else _column(entry["times"], "times"),
        flat=entry.get("flat"),
        **_content(entry, index),
    )


def _span(entry: Any) -> tuple[float, float]:
    entry = _table(entry, "an ignored span")
    _keys(entry, {"start", "end"}, "an ignored span")
    return _number(_need(entry, "start"), "start"), _number(_need(entry, "end"), "end")


def _prediction(entry: dict[str, Any], index: Mapping[str, int]) -> VideoPredictions:
    _keys(entry, {"tubes", "frames", "segments", "fps", "flat"}, "the entry")
    return VideoPredictions(**_content(entry, index), fps=_maybe(entry, "fps"), flat=entry.get("flat"))


def _content(entry: dict[str, Any], index: Mapping[str, int]) -> dict[str, Any]:
    tubes, frames, segments = entry.get("tubes"), entry.get("frames"), entry.get("segments")
    return {
        "tubes": None
        if tubes is None
        else tuple(_tube_in(t, i) for i, t in enumerate(_list(tubes, "tubes"))),
        "frames": None if frames is None else _frames_in(_table(frames, "frames"), index),
        "segments": None
        if segments is None
        else tuple(_segment_in(s, i) for i, s in enumerate(_list(segments, "segments"))),
    }


def _tube_in(entry: Any, position: int) -> Tube:
    try:
        entry = _table(entry, "a tube")
        _keys(entry, {"label", "score", "start", "boxes", "box_scores"}, "a tube")
        scores = entry.get("box_scores")
        start = int(_number(_need(entry, "start"), "start", whole=True))
        return Tube(
            start=start,
            boxes=_boxes(_need(entry, "boxes"), lambda position: start + position),
            label=_text(_need(entry, "label"), "label"),
            score=_maybe(entry, "score"),
            box_scores=None if scores is None else _column(scores, "box_scores"),
        )
    except StadError as error:
        raise error.at(tube=position) from None


def _segment_in(entry: Any, position: int) -> Segment:
    try:
        entry = _table(entry, "a segment")
        _keys(entry, {"label", "score", "start", "end"}, "a segment")
        start, end = (_number(_need(entry, key), key) for key in ("start", "end"))
        return Segment(_text(_need(entry, "label"), "label"), start, end, _maybe(entry, "score"))
    except StadError as error:
        raise error.at(segment=position) from None


def _frames_in(entry: dict[str, Any], index: Mapping[str, int]) -> FrameBoxes:
    _keys(entry, {"frame", "label", "score", "box", "person"}, "frames")
    frame = _column(_need(entry, "frame"), "frame", whole=True)

    def frame_at(position: int) -> int | None:
        return int(frame[position]) if position < len(frame) else None

    label = _label_indices(_need(entry, "label"), index, frame_at)
    optional = {
        "score": None if entry.get("score") is None else _column(entry["score"], "score"),
        "person": None if entry.get("person") is None else _column(entry["person"], "person", whole=True),
    }
    return FrameBoxes(frame, label, _boxes(_need(entry, "box"), frame_at), **optional)


def _label_indices(value: Any, index: Mapping[str, int], frame_at: Callable[[int], int | None]) -> np.ndarray:
    if isinstance(value, np.ndarray):  # from the .npz twin, checked by ``check_record``
        return value
    labels = _list(value, "label")
    for position, name in enumerate(labels):
        if not isinstance(name, str):
            raise FormatError(
                f"label {position} is {name!r}", frame=frame_at(position), remedy="a label is a string"
            )
        if name not in index:
            raise UnknownLabelError(
                f"label {name!r} is not among the classes",
                frame=frame_at(position),
                remedy="add it to classes or correct it",
            )
    return np.array([index[name] for name in labels], dtype=np.int64)


def _boxes(value: Any, frame_at: Callable[[int], int | None]) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    rows = _list(value, "boxes")
    for position, row in enumerate(rows):
        if type(row) is not list or len(row) != 4 or not all(type(number) in (int, float) for number in row):
            raise FormatError(
                f"box {position} is {row!r}", frame=frame_at(position), remedy="a box is four numbers"
            )
    return _array(rows, "boxes", np.float64).reshape(-1, 4)


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
    return _array(numbers, what, np.int64 if whole else np.float64)


def _array(numbers: Sequence[Any], what: str, dtype: type) -> np.ndarray:
    try:
        return np.array(numbers, dtype=dtype)
    except OverflowError:
        raise FormatError(f"{what} holds a number too large to keep", remedy="correct the number") from None


def _number(value: Any, what: str, whole: bool = False) -> float:
    if type(value) not in ((int,) if whole else (int, float)):
        raise FormatError(f"{what} is {value!r}", remedy=f"{what} is a {'whole ' if whole else ''}number")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise FormatError(f"{what} is too large a number to keep", remedy="correct the number")
    if not math.isfinite(value):
        raise NotFiniteError(f"{what} is {value}", remedy="give a finite number, or leave the key out")
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
        raise FormatError(f"{what} is {_kind(value)}, not an object", remedy="write it as {...}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"{what} is {_kind(value)}, not a list", remedy="write it as [...]")
    return value


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _need(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise FormatError(f"key {key!r} is missing", remedy="add it")
    return entry[key]


def _keys(entry: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise FormatError(
            f"{what} has an unknown key {unknown[0]!r}", remedy=f"known are {', '.join(sorted(known))}"
        )
