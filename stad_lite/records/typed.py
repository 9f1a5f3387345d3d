"""Records read by their schema, and checked over the columns of all videos at once.

``msgspec`` turns JSON into typed rows; the boxes, scores and frame numbers of the whole file then stand in
the three arrays of the ``.npz`` twin, where one pass of numpy looks at them. What does not fit in any way
gives None: ``document`` then reads the same bytes key by key, and says what is wrong and where.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from stad_lite.errors import StadError
from stad_lite.records.types import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
    check_numbers,
)
from stad_lite.tubes import Tube

Box = tuple[float, float, float, float]
Range = tuple[int, int]
"""The rows [start, stop) of one of the arrays ``boxes``, ``floats`` and ``integers``."""

T = TypeVar("T")
B = TypeVar("B")  # boxes: lists in JSON, ranges in the header of the twin; so are
F = TypeVar("F")  # floats
I = TypeVar("I")  # whole numbers  # noqa: E741
N = TypeVar("N")  # and names of classes


class _Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object of the file; a key that is not there is UNSET, which is not the same as null."""


class _Tube(_Strict, Generic[B, F]):
    label: str
    start: int
    boxes: B
    score: float | UnsetType | None = UNSET
    box_scores: F | UnsetType | None = UNSET


class _Frames(_Strict, Generic[B, F, I, N]):
    frame: I
    label: N
    box: B
    score: F | UnsetType | None = UNSET
    person: I | UnsetType | None = UNSET


class _Span(_Strict):
    start: float
    end: float


class _Segment(_Strict):
    label: str
    start: float
    end: float
    score: float | UnsetType | None = UNSET


class _Video(_Strict, Generic[B, F, I, N]):
    tubes: list[_Tube[B, F]] | UnsetType | None = UNSET
    frames: _Frames[B, F, I, N] | UnsetType | None = UNSET
    segments: list[_Segment] | UnsetType | None = UNSET
    fps: float | UnsetType | None = UNSET
    flat: list[tuple[float, float, float]] | UnsetType | None = UNSET


class _Truth(_Video[B, F, I, N], Generic[B, F, I, N]):
    num_frames: int | UnsetType | None = UNSET
    width: int | UnsetType | None = UNSET
    height: int | UnsetType | None = UNSET
    duration: float | UnsetType | None = UNSET
    ignore: list[_Span] | UnsetType = UNSET
    evaluated_frames: I | UnsetType | None = UNSET
    times: F | UnsetType | None = UNSET


class _Annotations(_Strict, Generic[B, F, I, N], tag_field="format", tag="stad-lite/annotations/1"):
    dataset: str
    classes: list[str]
    videos: dict[str, _Truth[B, F, I, N]]


class _Predictions(_Strict, Generic[B, F, I, N], tag_field="format", tag="stad-lite/predictions/1"):
    classes: list[str]
    videos: dict[str, _Video[B, F, I, N]]


_LISTS = (list[Box], list[float], list[int], list[str])
_RANGES = (Range, Range, Range, Range)
_JSON: Any = msgspec.json.Decoder(_Annotations[_LISTS] | _Predictions[_LISTS])  # type: ignore[valid-type, misc]
_HEADER: Any = msgspec.json.Decoder(_Annotations[_RANGES] | _Predictions[_RANGES])  # type: ignore[valid-type, misc]

_LARGEST = 2.0**63
"""Of a single number that was written without a point: ``document`` refuses larger ones."""

_MISFITS = (msgspec.MsgspecError, StadError, ValueError, OverflowError, KeyError, RecursionError)
"""What may come of a file that is no sound record."""


class _Misfit(ValueError):
    """The file is no sound record."""


def from_json(data: bytes) -> Annotations | Predictions | None:
    """Return the record of a JSON text, or None where it is not in order."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        with no_collection():
            document = _JSON.decode(data)
            _check_doubles(document, data)
            arrays = _to_arrays(document)
            return _record(document, arrays)
    except _MISFITS:
        return None


def from_header(data: bytes, arrays: Mapping[str, np.ndarray]) -> Annotations | Predictions | None:
    """Return the record of an ``.npz`` twin, or None where it is not in order.

    data: the JSON text of the header
    arrays: ``boxes`` (n, 4) float64, ``floats`` (m,) float64 and ``integers`` (k,) int64; the record holds
        views of them
    """
    try:
        with no_collection():
            document = _HEADER.decode(data.removeprefix(b"\xef\xbb\xbf"))
            _check_doubles(document, data)
            return _record(document, arrays)
    except _MISFITS:
        return None


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python make many objects without looking for cycles among them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# ------------------------------------------------------------------------------------- doubled keys


def _check_doubles(document: Any, data: bytes) -> None:
    """Refuse a text with more keys than the document has, as some may stand twice in one object.

    A key is a string before a colon. Letters of a string may look like one, never the other way round.
    """
    keys = 1 + _given(document) + len(document.videos)
    for video in document.videos.values():
        keys += _given(video) + sum(map(_given, _rows(video.tubes)))
        keys += _given(video.frames) if video.frames else 0
        segments = _rows(video.segments)
        keys += 3 * len(segments) + sum(segment.score is not UNSET for segment in segments)
        keys += 2 * len(_rows(getattr(video, "ignore", None)))
    if data.count(b":") != keys and len(re.findall(rb'"\s*:', data)) != keys:
        raise _Misfit


def _given(struct: Any) -> int:
    return sum(getattr(struct, name) is not UNSET for name in struct.__struct_fields__)


def _rows(value: Any) -> list[Any]:
    return value or []


# ------------------------------------------------------------------------------- lists into arrays


def _to_arrays(document: Any) -> dict[str, np.ndarray]:
    """Move all lists of a JSON document into three arrays, and leave the ranges of their rows behind."""
    index = {name: number for number, name in enumerate(document.classes)}
    boxes: list[list[Box]] = []
    floats: list[list[float]] = []
    integers: list[Iterable[int]] = []
    filled = {"boxes": 0, "floats": 0, "integers": 0}

    def move(part: Any, key: str, pool: str, into: list[Any]) -> None:
        rows = getattr(part, key, None)
        if rows is not None and rows is not UNSET:
            into.append([index[name] for name in rows] if key == "label" else rows)
            setattr(part, key, (filled[pool], filled[pool] + len(rows)))
            filled[pool] += len(rows)

    for video in document.videos.values():
        for tube in _rows(video.tubes):
            move(tube, "boxes", "boxes", boxes)
            move(tube, "box_scores", "floats", floats)
        if video.frames:
            move(video.frames, "box", "boxes", boxes)
            move(video.frames, "score", "floats", floats)
            for key in ("frame", "label", "person"):
                move(video.frames, key, "integers", integers)
        move(video, "evaluated_frames", "integers", integers)
        move(video, "times", "floats", floats)
    corners = chain.from_iterable(chain.from_iterable(boxes))
    return {
        "boxes": np.fromiter(corners, np.float64, 4 * filled["boxes"]).reshape(-1, 4),
        "floats": np.fromiter(chain.from_iterable(floats), np.float64, filled["floats"]),
        "integers": np.fromiter(chain.from_iterable(integers), np.int64, filled["integers"]),
    }


# -------------------------------------------------------------------------------- arrays into records


def trusted(kind: type[T], **values: object) -> T:
    """Return a record of values in their settled form, all of them, that are checked already."""
    record = object.__new__(kind)
    record.__dict__.update(values)
    return record


class _Taker:
    """Hands out rows of the arrays, each at most once."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.left = {name: len(rows) for name, rows in arrays.items()}

    def __call__(self, rows: Any, pool: str) -> Any:
        """Return the rows of a range; None where there is none."""
        if rows is None or rows is UNSET:
            return None
        start, stop = rows
        array = self.arrays[pool]
        self.left[pool] -= stop - start
        if not 0 <= start <= stop <= len(array) or self.left[pool] < 0:
            raise _Misfit
        return array[start:stop]


def _record(document: Any, arrays: Mapping[str, np.ndarray]) -> Annotations | Predictions:
    """Return the record of a document with ranges in place of its lists."""
    classes = tuple(document.classes)
    boxes = arrays["boxes"]
    sound = len(set(classes)) == len(classes) and bool((boxes[:, 2:] > boxes[:, :2]).all())
    if not (sound and np.isfinite(boxes).all() and np.isfinite(arrays["floats"]).all()):
        raise _Misfit
    take, known, truth = _Taker(arrays), set(classes), isinstance(document, _Annotations)
    videos: dict[str, Any] = {}
    for name, video in document.videos.items():
        parts = {
            "tubes": None if not isinstance(video.tubes, list) else _tubes(video, take, known, not truth),
            "frames": _frames(video.frames, take, not truth) if video.frames else None,
            "segments": _segments(video.segments, known, not truth),
            "fps": _number(video.fps),
        }
        videos[name] = _truth(video, parts, take) if truth else _found(video, parts)
    _check_frames([(one.frames, getattr(one, "num_frames", None)) for one in videos.values()], len(classes))
    if truth:
        return trusted(Annotations, dataset=document.dataset, classes=classes, videos=videos)
    return trusted(Predictions, classes=classes, videos=videos)


def _truth(video: Any, parts: dict[str, Any], take: _Taker) -> VideoAnnotation:
    parts |= {name: _number(getattr(video, name)) for name in ("num_frames", "width", "height", "duration")}
    ignore = tuple((_number(span.start), _number(span.end)) for span in _rows(video.ignore))
    evaluated, times = take(video.evaluated_frames, "integers"), take(video.times, "floats")
    flat = video.flat if isinstance(video.flat, list) else None
    make = trusted if times is None and flat is None else _settled  # times may lack their end
    found: VideoAnnotation = make(
        VideoAnnotation, **parts, ignore=ignore, evaluated_frames=evaluated, times=times, flat=flat
    )
    check_numbers(found)
    return found


def _settled(kind: Any, **values: Any) -> Any:
    return kind(**values)


def _found(video: Any, parts: dict[str, Any]) -> VideoPredictions:
    if parts["fps"] is not None and not parts["fps"] > 0:
        raise _Misfit
    if isinstance(video.flat, list):
        return VideoPredictions(**parts, flat=video.flat)  # type: ignore[arg-type]
    return trusted(VideoPredictions, **parts, flat=None)


def _number(value: Any) -> Any:
    """A single number as it stands, None for null and what is not there."""
    if value is None or value is UNSET:
        return None
    if not -_LARGEST < value < _LARGEST:
        raise _Misfit
    return value


def _tubes(video: Any, take: _Taker, known: set[str], scored: bool) -> tuple[Tube, ...]:
    frames = getattr(video, "num_frames", None)
    end = _LARGEST if frames is None or frames is UNSET else frames
    tubes = []
    for row in video.tubes:
        boxes, score = take(row.boxes, "boxes"), _number(row.score)
        scores = take(row.box_scores, "floats")
        fits = row.label in known and row.start >= 0 and 0 < len(boxes) <= end - row.start
        if not fits or (scored and score is None) or (scores is not None and len(scores) != len(boxes)):
            raise _Misfit
        tubes.append(
            trusted(Tube, start=row.start, boxes=boxes, label=row.label, score=score, box_scores=scores)
        )
    return tuple(tubes)


def _frames(rows: Any, take: _Taker, scored: bool) -> FrameBoxes:
    columns = {name: take(getattr(rows, name), "integers") for name in ("frame", "label", "person")}
    columns |= {"box": take(rows.box, "boxes"), "score": take(rows.score, "floats")}
    lengths = {len(column) for column in columns.values() if column is not None}
    if len(lengths) != 1 or (scored and columns["score"] is None):
        raise _Misfit
    return trusted(FrameBoxes, **columns)


def _segments(rows: Any, known: set[str], scored: bool) -> tuple[Segment, ...] | None:
    if not isinstance(rows, list):
        return None
    if not {row.label for row in rows} <= known:
        raise _Misfit
    spans = []
    for row in rows:
        score = None if row.score is UNSET else row.score
        if not -_LARGEST < row.start <= row.end < _LARGEST or (scored and score is None):
            raise _Misfit
        spans.append(trusted(Segment, label=row.label, start=row.start, end=row.end, score=_number(score)))
    return tuple(spans)


def _check_frames(videos: list[tuple[FrameBoxes | None, int | None]], num_classes: int) -> None:
    """Hold the columns of all videos' boxes to their videos' frames and to the classes."""
    there = [(boxes, end) for boxes, end in videos if boxes is not None]
    if not there:
        return
    frame, label = (
        np.concatenate([getattr(boxes, name) for boxes, _ in there]) for name in ("frame", "label")
    )
    ends = np.repeat(
        [_LARGEST if end is None else end for _, end in there], [len(boxes.frame) for boxes, _ in there]
    )
    if not ((frame >= 0) & (frame < ends) & (label >= 0) & (label < num_classes)).all():
        raise _Misfit
