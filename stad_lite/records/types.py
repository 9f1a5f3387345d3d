"""Annotations and predictions: the two records that every part of the library exchanges.

Frames are 0-based, boxes float xyxy pixels (half-open), times seconds. ``stad_lite.records.files``
reads and writes them; others' formats are converted at the border and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from stad_lite.arrays import column, flat_rows, number, same, whole, whole_column
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    NotFiniteError,
    StadError,
    TubeTooLongError,
    UnknownLabelError,
)
from stad_lite.tubes import Tube, checked_boxes


def _set(record: object, **values: object) -> None:
    """Give fields of a frozen dataclass their settled form, while it is being made."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


class _ByValue:
    """Equality of dataclasses that hold arrays."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class FrameBoxes(_ByValue):
    """Boxes on single frames, as columns; a box with several labels stands once for each.

    frame, label: (n,) frame numbers, and indices into the record's classes
    box: (n, 4) xyxy pixels
    score, person: (n,) confidences (predictions only), identities of the actors (annotations, optional)
    raises: FormatError, UnsignedBoxError, NotFiniteError, InvertedBoxError, with the frame
    """

    frame: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray | None = None
    person: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("frame", "label", "person"):
            if getattr(self, name) is not None:
                _set(self, **{name: whole_column(getattr(self, name), name)})
        if self.score is not None:
            _set(self, score=column(self.score, "score"))
        for name in ("label", "box", "score", "person"):
            entries = getattr(self, name)
            if entries is not None and len(entries) != len(self.frame):
                raise FormatError(
                    f"frames has {len(self.frame)} frame entries but {len(entries)} of {name}",
                    remedy="give every box one entry in each column",
                )
        try:
            _set(self, box=checked_boxes(self.box))
        except (NotFiniteError, InvertedBoxError) as error:
            bad = np.asarray(self.box, dtype=np.float64)
            wrong = ~np.isfinite(bad).all(1) if isinstance(error, NotFiniteError) else _inverted(bad)
            raise error.at(frame=int(self.frame[np.argmax(wrong)])) from None
        if self.score is not None and not np.isfinite(self.score).all():
            frame = int(self.frame[np.argmin(np.isfinite(self.score))])
            raise NotFiniteError("a box's score is not finite", frame=frame, remedy="give a finite score")

    def __len__(self) -> int:
        return len(self.frame)


def _inverted(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2:] <= boxes[:, :2]).any(1))


@dataclass(frozen=True)
class Segment:
    """A span of time with a class.

    start, end: seconds, start <= end (a few published segments have no length)
    score: confidence, None for annotations
    raises: FormatError, NotFiniteError, FrameRangeError
    """

    label: str
    start: float
    end: float
    score: float | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "score"):
            value = getattr(self, name)
            if (value is None and name == "score") or (type(value) is float and math.isfinite(value)):
                continue
            value = number(value, name)
            _set(self, **{name: value})
            if not np.isfinite(value):
                raise NotFiniteError(f"the segment's {name} is {value}", remedy="give a finite number")
        if self.end < self.start:
            raise FrameRangeError(
                f"the segment ends at {self.end} s, before its start at {self.start} s",
                remedy="give start <= end",
            )


@dataclass(frozen=True, eq=False)
class VideoAnnotation(_ByValue):
    """What is known of one video; None where the publisher or the set gives nothing.

    num_frames, width, height: frames and pixels
    fps: frames a second, on average where ``times`` are given; without ``num_frames`` the numbers of boxes on
        single frames stand for seconds by it (AVA)
    duration: seconds
    tubes, frames, segments: what is annotated; None means this set has none of the kind
    ignore: (start, end) spans in seconds that count neither for nor against
    evaluated_frames: (n,) frames that evaluation looks at, None for all
    times: (num_frames + 1,) seconds at which the frames begin and the last one ends, where that is not
        number / fps; without the last entry the last frame lasts as long as the one before
    flat: (n, 3) frame, label and 1 of boxes without area, as in ``VideoPredictions``
    raises: FormatError for what is no number
    """

    num_frames: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration: float | None = None
    tubes: tuple[Tube, ...] | None = None
    frames: FrameBoxes | None = None
    segments: tuple[Segment, ...] | None = None
    ignore: tuple[tuple[float, float], ...] = ()
    evaluated_frames: np.ndarray | None = None
    times: np.ndarray | None = None
    flat: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, settle in (
            *((name, whole) for name in ("num_frames", "width", "height")),
            *((name, number) for name in ("fps", "duration")),
            *(("evaluated_frames", whole_column), ("times", column), ("flat", flat_rows)),
        ):
            if getattr(self, name) is not None:
                _set(self, **{name: settle(getattr(self, name), name)})
        if self.times is not None and self.num_frames == len(self.times) and self.num_frames > 1:
            _set(self, times=np.append(self.times, 2 * self.times[-1] - self.times[-2]))
        _set(self, ignore=tuple((number(a, "start"), number(b, "end")) for a, b in self.ignore))
        _settle_tuples(self)

    def seconds(self, frames: Sequence[int] | np.ndarray, fps: float) -> np.ndarray:
        """Return when frames begin: by ``times``, or number / fps where there are none.

        frames: (n,) numbers; the number of frames stands for the end of the last one
        fps: frames a second without ``times``
        returns: (n,) seconds

        >>> VideoAnnotation(num_frames=2, times=[0, 0.5, 2]).seconds([1, 2], fps=25)
        array([0.5, 2. ])
        """
        numbers = np.asarray(frames)
        return numbers / fps if self.times is None else self.times[numbers]


@dataclass(frozen=True, eq=False)
class VideoPredictions(_ByValue):
    """What a detector says of one video; None where it says nothing of the kind.

    fps: numbers a second of boxes on single frames that count time (AVA), None where they are the video's
    flat: (n, 3) frame, label and score of boxes without area; they are no boxes, but evaluators count them
    """

    tubes: tuple[Tube, ...] | None = None
    frames: FrameBoxes | None = None
    segments: tuple[Segment, ...] | None = None
    fps: float | None = None
    flat: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.fps is not None:
            _set(self, fps=number(self.fps, "fps"))
        if self.flat is not None:
            _set(self, flat=flat_rows(self.flat, "flat"))
        _settle_tuples(self)


def _settle_tuples(video: VideoAnnotation | VideoPredictions) -> None:
    for name in ("tubes", "segments"):
        if getattr(video, name) is not None:
            _set(video, **{name: tuple(getattr(video, name))})


@dataclass(frozen=True, eq=False)
class Annotations(_ByValue):
    """The truth of a data set.

    dataset: its name
    classes: class names, in the order of their indices
    videos: annotation by video id
    raises: StadError (``check_record``)
    """

    dataset: str
    classes: tuple[str, ...]
    videos: Mapping[str, VideoAnnotation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        check_record(self)

    def subset(self, videos: Sequence[str]) -> Annotations:
        """Return the same record with these videos only, in this order."""
        return Annotations(self.dataset, self.classes, {video: self.videos[video] for video in videos})

    def ordered(self, classes: Sequence[str]) -> Annotations:
        """Return the same record with its classes in another order. raises: FormatError for other classes"""
        if sorted(classes) != sorted(self.classes):
            raise FormatError("the classes are others", remedy=f"give {', '.join(self.classes)} in any order")
        place = np.array([list(classes).index(name) for name in self.classes], dtype=np.int64)
        videos = {
            name: video
            if video.frames is None
            else replace(video, frames=replace(video.frames, label=place[video.frames.label]))
            for name, video in self.videos.items()
        }
        return Annotations(self.dataset, tuple(classes), videos)


@dataclass(frozen=True, eq=False)
class Predictions(_ByValue):
    """A detector's output on a data set.

    classes: class names, in the order of their indices
    videos: predictions by video id
    raises: StadError (``check_record``)
    """

    classes: tuple[str, ...]
    videos: Mapping[str, VideoPredictions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        check_record(self)


def check_record(record: Annotations | Predictions) -> None:
    """Check what single tubes cannot know: labels, frame ranges, sizes, scores.

    raises: UnknownLabelError, TubeTooLongError, FrameRangeError, NotFiniteError, FormatError, each
        with the video and the tube
    """
    if len(set(record.classes)) != len(record.classes):
        double = next(name for name in record.classes if record.classes.count(name) > 1)
        raise FormatError(f"class {double!r} stands twice in the list", remedy="name every class once")
    for text in (getattr(record, "dataset", ""), *record.classes, *record.videos):
        _check_text(text)
    known = set(record.classes)
    for name, video in record.videos.items():
        try:
            if isinstance(video, VideoAnnotation):
                check_numbers(video)
            elif video.fps is not None and not (np.isfinite(video.fps) and video.fps > 0):
                raise FormatError(f"fps is {video.fps}", remedy="give a positive number, or leave it out")
            scored = isinstance(record, Predictions)
            _check_tubes(video, known, scored)
            _check_frames(video, len(record.classes), scored)
            for index, segment in enumerate(video.segments or ()):
                if segment.label not in known or (scored and segment.score is None):
                    _check_segment(segment, index, known, scored)
        except StadError as error:
            raise error.at(video=name) from None


def _check_text(text: object) -> None:
    """Names must be strings that UTF-8 can hold (half a surrogate pair cannot be written)."""
    if not isinstance(text, str):
        remedy = "name data set, classes and videos by strings"
        raise FormatError(f"the name {text!r} is no string", remedy=remedy)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise FormatError(f"the name {text!r} holds half a character", remedy="correct its encoding")


def _check_segment(segment: Segment, index: int, known: set[str], scored: bool) -> None:
    try:
        _check_label(segment.label, known)
    except StadError as error:
        raise error.at(segment=index) from None
    if scored and segment.score is None:
        problem = "a predicted segment has no score"
        raise FormatError(problem, segment=index, remedy="give every segment a score")


def _check_label(label: str, known: set[str]) -> None:
    if label not in known:
        raise UnknownLabelError(
            f"label {label!r} is not among the classes", remedy="add it to classes or correct it"
        )


def check_numbers(video: VideoAnnotation) -> None:
    """Check what is said of a video itself: sizes, rates, times, spans and evaluated frames."""
    for name in ("num_frames", "width", "height", "fps", "duration"):
        value = getattr(video, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            remedy = "give a positive number, or null where it is unknown"
            raise FormatError(f"{name} is {value}", remedy=remedy)
    if (video.tubes or video.frames) and (video.width is None or video.height is None):
        raise FormatError("there are boxes but no width and height", remedy="give the frame's size in pixels")
    if video.times is not None:
        _check_times(video.times, video.num_frames)
    for start, end in video.ignore:
        if not (np.isfinite(start) and np.isfinite(end) and start <= end):
            raise FrameRangeError(
                f"the ignored span {start} to {end} is not a span of time",
                remedy="give finite seconds with start <= end",
            )
    if video.evaluated_frames is not None:
        _check_inside(np.asarray(video.evaluated_frames), video.num_frames, "evaluated_frames")


def _check_times(times: np.ndarray, num_frames: int | None) -> None:
    if num_frames is None or len(times) != num_frames + 1:
        raise FormatError(
            f"there are {len(times)} times for {num_frames or 'an unknown number of'} frames",
            remedy="give num_frames, and a second for every frame and for the end of the last one",
        )
    bad = ~np.isfinite(times) | (np.diff(times, prepend=-np.inf) <= 0)
    if bad.any():
        frame = int(np.argmax(bad))
        raise FormatError(
            f"the time {times[frame]} is not after the one before",
            frame=frame,
            remedy="give seconds that rise from frame to frame",
        )


def _check_inside(frames: np.ndarray, num_frames: int | None, what: str) -> None:
    bad = (frames < 0) | (frames >= (np.inf if num_frames is None else num_frames))
    if bad.any():
        extent = "" if num_frames is None else f"'s {num_frames} frames"
        raise FrameRangeError(
            f"{what} names a frame outside the video{extent}",
            frame=int(frames[np.argmax(bad)]),
            remedy="frames are counted from 0",
        )


def _check_tubes(video: VideoAnnotation | VideoPredictions, known: set[str], scored: bool) -> None:
    num_frames = getattr(video, "num_frames", None)
    for index, tube in enumerate(video.tubes or ()):
        try:
            _check_label(tube.label, known)
            if scored and tube.score is None:
                raise FormatError("a predicted tube has no score", remedy="give every tube a score")
            if num_frames is not None and len(tube) > num_frames:
                raise TubeTooLongError(
                    f"the tube has {len(tube)} boxes but the video only {num_frames} frames",
                    frame=max(tube.start, num_frames),
                    remedy="drop the boxes that have no frame",
                )
            if num_frames is not None and tube.end > num_frames:
                raise FrameRangeError(
                    f"the tube spans frames {tube.start} to {tube.end - 1} of {num_frames}",
                    frame=max(tube.start, num_frames),
                    remedy="frames are counted from 0",
                )
        except StadError as error:
            raise error.at(tube=index) from None


def _check_frames(video: VideoAnnotation | VideoPredictions, num_classes: int, scored: bool) -> None:
    boxes = video.frames
    if boxes is None:
        return
    if scored and boxes.score is None:
        raise FormatError("predicted boxes have no scores", remedy="give every box a score")
    unknown = (boxes.label < 0) | (boxes.label >= num_classes)
    if unknown.any():
        first = int(np.argmax(unknown))
        raise UnknownLabelError(
            f"label {boxes.label[first]} is not among the {num_classes} classes",
            frame=int(boxes.frame[first]),
            remedy="labels are indices into classes",
        )
    _check_inside(boxes.frame, getattr(video, "num_frames", None), "a box")
