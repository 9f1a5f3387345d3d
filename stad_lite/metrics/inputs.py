"""From records to columns: which videos and classes are scored, and what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, StadError, UnknownLabelError, UnknownVideoError
from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.precision import content_order
from stad_lite.metrics.repairs import by_place, repaired
from stad_lite.records.types import (
    Annotations,
    FrameBoxes,
    Predictions,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

Video = VideoAnnotation | VideoPredictions


@dataclass(frozen=True)
class Task:
    """Who is scored.

    classes: evaluated classes, in order
    videos: ids of the truth's videos and of others that count as false positives, in the order of
        ties: by name, or as in the predictions file
    truth, predictions: the records' videos, by id
    truth_label, predicted_label: (number of the record's classes,) index into ``classes``, -1: ignored
    num_videos: number of the truth's videos
    ignored: {reason: count} of what was left out; filled on the way
    """

    classes: tuple[str, ...]
    videos: tuple[str, ...]
    truth: Mapping[str, VideoAnnotation]
    predictions: Mapping[str, VideoPredictions]
    truth_label: np.ndarray
    predicted_label: np.ndarray
    truth_classes: tuple[str, ...]
    predicted_classes: tuple[str, ...]
    num_videos: int
    ignored: Counter[str] = field(default_factory=Counter)

    def ignore(self, reason: str, count: int) -> None:
        """Count what is left out; nothing is written for 0."""
        if count:
            self.ignored[reason] += int(count)


def task(
    truth: Annotations,
    predictions: Predictions,
    rules: Rules,
    kind: str,
    classes: Sequence[str] | None = None,
    source: str = "auto",
) -> Task:
    """Return what is scored of two records, after checking that they fit each other.

    kind: ``frames``, ``tubes`` or ``segments``
    classes: the evaluated classes; all of the truth's where not given
    source: of frame boxes, ``auto``, ``tubes`` or ``frames``
    raises: UnknownVideoError, UnknownLabelError, FormatError, StadError
    """
    _check_kind(truth, predictions, kind, source)
    chosen = _evaluated_classes(truth, rules, classes)
    foreign = [name for name in predictions.videos if name not in truth.videos]
    found = Task(
        chosen,
        _scored_videos(truth, predictions, rules, foreign),
        truth.videos,
        predictions.videos,
        _lookup(truth.classes, chosen),
        _lookup(predictions.classes, chosen),
        tuple(truth.classes),
        tuple(predictions.classes),
        len(truth.videos),
    )
    if rules.unknown_videos == "ignored":
        dropped = sum(_size(predictions.videos[name], kind, source) for name in foreign)
        found.ignore("predictions in videos without truth", dropped)
    _check_classes(found, rules)
    return found


def _evaluated_classes(truth: Annotations, rules: Rules, classes: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(truth.classes if classes is None else classes)
    unknown = [name for name in chosen if name not in truth.classes]
    if unknown:
        raise UnknownLabelError(f"the truth has no class {unknown[0]!r}", remedy="correct the class list")
    chosen = tuple(name for name in chosen if name not in rules.skipped_classes)
    if not chosen:
        raise StadError("no class is left to evaluate", remedy="check the class list and the convention")
    if len(set(chosen)) < len(chosen):
        raise StadError("a class is listed twice", remedy="name every evaluated class once")
    return chosen


def _scored_videos(
    truth: Annotations, predictions: Predictions, rules: Rules, foreign: Sequence[str]
) -> tuple[str, ...]:
    """Return the videos in the order of ties: by name, or as in the predictions file."""
    if foreign and rules.unknown_videos == "error":
        raise UnknownVideoError(
            f"predictions name {len(foreign)} videos that the truth does not have",
            video=foreign[0],
            remedy="correct the ids, or choose a convention that ignores such videos",
        )
    videos = [*predictions.videos, *(name for name in truth.videos if name not in predictions.videos)]
    if rules.unknown_videos != "false_positives":
        videos = [name for name in videos if name in truth.videos]
    return tuple(videos if not rules.by_content else sorted(videos))


def _lookup(classes: Sequence[str], chosen: Sequence[str]) -> np.ndarray:
    index = {name: position for position, name in enumerate(chosen)}
    return np.array([index.get(name, -1) for name in classes], dtype=np.int64)


def _check_classes(scored: Task, rules: Rules) -> None:
    """Refuse predictions of classes that the truth does not know."""
    strange = {name for name in scored.predicted_classes if name not in scored.truth_classes}
    if not strange or rules.unknown_classes == "ignored":
        return
    codes = [i for i, name in enumerate(scored.predicted_classes) if name in strange]
    for name, video in scored.predictions.items():
        used = {tube.label for tube in video.tubes or ()} | {span.label for span in video.segments or ()}
        used &= strange
        if video.frames is not None:
            used |= {scored.predicted_classes[i] for i in codes if (video.frames.label == i).any()}
        if used:
            raise UnknownLabelError(
                f"a prediction is of class {min(used)!r}, which the truth does not have",
                video=name,
                remedy="correct the class names, or choose a convention that ignores such classes",
            )


HOLDS = {"frames": ("frames", "tubes"), "tubes": ("tubes",), "segments": ("segments",)}
"""Fields of a record that each kind can be taken from, first choice first."""


def _check_kind(truth: Annotations, predictions: Predictions, kind: str, source: str) -> None:
    if source not in ("auto", "tubes", "frames"):
        raise StadError(f"source is {source!r}", remedy="choose from auto, tubes, frames")
    wanted = HOLDS[kind]
    if not truth.videos:
        raise FormatError("the truth has no videos", remedy="check the file or the split")
    if not any(getattr(v, name) is not None for v in truth.videos.values() for name in wanted):
        raise FormatError(f"the truth has no {' or '.join(wanted)}", remedy="choose another metric")
    if kind == "frames" and source != "auto":
        wanted = (source,)
    videos = predictions.videos
    if videos and not any(getattr(v, name) is not None for v in videos.values() for name in wanted):
        raise FormatError(
            f"the predictions have no {' or '.join(wanted)}", remedy="choose another metric or source"
        )


def _size(video: VideoPredictions, kind: str, source: str) -> int:
    if kind != "frames":
        return len(getattr(video, kind) or ())
    if video.frames is not None and source != "tubes":
        return len(video.frames)
    return sum(len(tube) for tube in video.tubes or ()) if source != "frames" else 0


@dataclass(frozen=True)
class Boxes:
    """Boxes of many videos as columns.

    video: (n,) positions in ``Task.videos``
    frame: (n,)
    label: (n,) indices into ``Task.classes``
    box: (n, 4) xyxy pixels
    score: (n,), 1 for truth
    """

    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: np.ndarray) -> Boxes:
        """Return the rows at these positions (or where a mask is true)."""
        return Boxes(*(getattr(self, name)[index] for name in ("video", "frame", "label", "box", "score")))


@dataclass(frozen=True)
class _Rows:
    """The columns of one video's boxes, checked elsewhere."""

    frame: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray | None

    def __len__(self) -> int:
        return len(self.frame)


_NO_BOXES = _Rows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))


def frame_boxes(video: Video, classes: Sequence[str], source: str) -> FrameBoxes | _Rows:
    """Return a video's boxes frame by frame: its ``frames``, else its tubes taken apart.

    A tube's boxes take its ``box_scores``, else all the tube's score (CFAD, frame-mAP).

    classes: names behind the labels
    source: ``auto``, ``tubes`` or ``frames``
    """
    if video.frames is not None and source != "tubes":
        return video.frames
    if not video.tubes or source == "frames":
        return _NO_BOXES
    index = {name: position for position, name in enumerate(classes)}
    lengths = [len(tube) for tube in video.tubes]
    scores = [
        np.full(len(tube), 1.0 if tube.score is None else tube.score)
        if tube.box_scores is None
        else tube.box_scores
        for tube in video.tubes
    ]
    return _Rows(
        frame=np.concatenate([tube.frames for tube in video.tubes]),
        label=np.repeat([index[tube.label] for tube in video.tubes], lengths),
        box=np.concatenate([tube.boxes for tube in video.tubes]),
        score=np.concatenate(scores),
    )


def _with_flat(boxes: FrameBoxes | _Rows, video: Video | None, name: str, classes: int) -> FrameBoxes | _Rows:
    """The boxes of a video and behind them those without area, which have no sides here."""
    flat = None if video is None or boxes is not video.frames else getattr(video, "flat", None)
    if flat is None or not len(flat):
        return boxes
    frame, label = flat[:, :2].astype(np.int64).T
    if label.min() < 0 or label.max() >= classes:
        raise FormatError("flat has a label outside the classes", video=name, remedy="labels are indices")
    return _Rows(
        np.concatenate([boxes.frame, frame]),
        np.concatenate([boxes.label, label]),
        np.concatenate([boxes.box, np.zeros((len(flat), 4))]),
        np.concatenate([np.ones(len(boxes)) if boxes.score is None else boxes.score, flat[:, 2]]),
    )


def box_batches(scored: Task, source: str, size: int) -> Iterator[tuple[Boxes, Boxes, dict[int, np.ndarray]]]:
    """Yield truth and predictions of runs of videos, so that memory stays bounded.

    size: predictions after which a batch is closed
    returns: truth, predictions, and ``evaluated_frames`` of the batch's videos that have them
    """
    batch: list[tuple[int, FrameBoxes | _Rows, FrameBoxes | _Rows]] = []
    limits: dict[int, np.ndarray] = {}
    count = 0
    for position, name in enumerate(scored.videos):
        theirs, ours = scored.truth.get(name), scored.predictions.get(name)
        truth = _NO_BOXES if theirs is None else frame_boxes(theirs, scored.truth_classes, "auto")
        boxes = _NO_BOXES if ours is None else frame_boxes(ours, scored.predicted_classes, source)
        truth = _with_flat(truth, theirs, name, len(scored.truth_classes))
        boxes = _with_flat(boxes, ours, name, len(scored.predicted_classes))
        batch.append((position, truth, boxes))
        if theirs is not None and theirs.evaluated_frames is not None:
            limits[position] = np.asarray(theirs.evaluated_frames, dtype=np.int64)
        count += len(boxes)
        if count >= size or position == len(scored.videos) - 1:
            truth_boxes = _columns([(i, boxes) for i, boxes, _ in batch], scored.truth_label)
            yield truth_boxes, _columns([(i, boxes) for i, _, boxes in batch], scored.predicted_label), limits
            batch, limits, count = [], {}, 0


def _columns(parts: list[tuple[int, FrameBoxes | _Rows]], lookup: np.ndarray) -> Boxes:
    parts = [(i, boxes) for i, boxes in parts if len(boxes)] or parts[:1]
    label = np.concatenate([boxes.label for _, boxes in parts])
    return Boxes(
        np.repeat([i for i, _ in parts], [len(boxes) for _, boxes in parts]),
        np.concatenate([boxes.frame for _, boxes in parts]),
        lookup[label],
        np.concatenate([boxes.box for _, boxes in parts]),
        np.concatenate([np.ones(len(b)) if b.score is None else b.score for _, b in parts]),
    )


@dataclass(frozen=True)
class Items:
    """Tubes or segments of all videos, in the order of the videos.

    items: the tubes or segments themselves
    video: (n,) positions in ``Task.videos``
    label: (n,) indices into ``Task.classes``
    score: (n,), 1 for truth
    span: (n, 2) start and end: frames of tubes, seconds of segments
    """

    items: list[Any]
    video: np.ndarray
    label: np.ndarray
    score: np.ndarray
    span: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    def take(self, index: np.ndarray) -> Items:
        """Return the rows at these positions (or where a mask is true)."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        chosen = [self.items[i] for i in index.tolist()]
        return Items(chosen, self.video[index], self.label[index], self.score[index], self.span[index])


def items(scored: Task, kind: str, rules: Rules) -> tuple[Items, Items]:
    """Return the truth's and the predictions' tubes or segments, of evaluated classes only.

    kind: ``tubes`` or ``segments``
    """
    truth = _gather(scored, scored.truth, kind, scored.truth_classes, scored.truth_label, "truth")
    ours = _gather(
        scored, scored.predictions, kind, scored.predicted_classes, scored.predicted_label, "predictions"
    )
    truth = repaired(scored, truth, kind, rules)
    if rules.classes_by_place and kind == "segments":
        ours = replace(ours, label=by_place(ours.label, np.unique(truth.label)))
    if rules.ties == "file_reversed":
        truth, ours = (rows.take(np.arange(len(rows))[::-1]) for rows in (truth, ours))
    if rules.by_content:
        truth = truth.take(np.lexsort((*numbers(truth).T[::-1], truth.video)))
        order = content_order(ours.score, lambda at: [ours.video[at], *numbers(ours.take(at)).T])
        ours = ours if order is None else ours.take(order)
    return truth, ours


def numbers(rows: Items) -> np.ndarray:
    """Return what tells the items of one video apart: (n, 2) times, or (n, 10) start, length, boxes."""
    if rows.items and isinstance(rows.items[0], Tube):
        table = [(tube.start, len(tube), *tube.boxes.mean(0), *tube.boxes[0]) for tube in rows.items]
        return np.array(table, dtype=np.float64)
    return rows.span


def _gather(
    scored: Task,
    videos: Mapping[str, Video],
    kind: str,
    classes: tuple[str, ...],
    lookup: np.ndarray,
    side: str,
) -> Items:
    index = {name: int(code) for name, code in zip(classes, lookup, strict=True)}
    found = [
        (position, getattr(videos[name], kind) or ())
        for position, name in enumerate(scored.videos)
        if name in videos
    ]
    rows = [item for _, inside in found for item in inside]
    video = np.repeat([position for position, _ in found], [len(inside) for _, inside in found])
    count = len(rows)
    label = np.fromiter((index[item.label] for item in rows), np.int64, count)
    score = np.fromiter((1.0 if item.score is None else item.score for item in rows), np.float64, count)
    ends = ([item.start for item in rows], [item.end for item in rows])
    gathered = Items(rows, video.astype(np.int64), label, score, np.array(ends, dtype=np.float64).T)
    kept = label >= 0
    scored.ignore(f"{side} of classes not evaluated", int((~kept).sum()))
    return gathered if kept.all() else gathered.take(kept)
