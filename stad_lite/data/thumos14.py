"""THUMOS14's detection task: 20 classes in 200 validation and 213 test videos, in seconds.

The oddities of the release stay in the annotations unless asked away, because the field's figures are
computed with them: every CliffDiving instance stands again as Diving, and some segments reach past
the end of their video. ``load`` reports them; ``without_duplicates`` and ``clipped`` remove them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, StadError, UnknownLabelError
from stad_lite.records import Annotations, Segment, VideoAnnotation
from stad_lite.records.exchange import activitynet, thumos14
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import numbers, read_json, read_text

CLASSES = thumos14.CLASSES
"""The twenty classes in the order of their numbers in the release."""

SETS = {"validation": (200, 3007, 89), "test": (213, 3358, 99)}
"""Videos, instances and ambiguous spans of each set in the release."""

DROPPED_BY_JSON = ("video_test_0000270", "video_test_0001292", "video_test_0001496")
"""The test videos that the JSON lacks: one mis-annotated, one with ambiguous spans only, one more."""

_SHORT = {"validation": "val", "test": "test"}


def read_text_folder(folder: str | PathLike[str]) -> Reading[Annotations]:
    """Return the annotations of the release: a folder of ``<Class>_<set>.txt``."""
    return thumos14.read_ground_truth(folder)


def read_csv(path: str | PathLike[str]) -> Reading[Annotations]:
    """Return the annotations of a csv ``video,type,type_idx,start,end,startFrame,endFrame``.

    raises: MissingFileError, FormatError, UnknownLabelError with file and line
    """
    segments: dict[str, list[Segment]] = {}
    ignore: dict[str, list[tuple[float, float]]] = {}
    for line, row in enumerate(csv.DictReader(read_text(path).splitlines()), 2):
        try:
            video, label, bounds = row["video"], row["type"], [row["start"], row["end"]]
        except KeyError as error:
            raise FormatError(f"there is no column {error}", file=path) from None
        start, end = numbers(bounds, path, line)
        segments.setdefault(video, [])
        if label == thumos14.AMBIGUOUS:
            ignore.setdefault(video, []).append((start, end))
        elif label in CLASSES:
            segments[video].append(Segment(label, start, end))
        else:
            raise UnknownLabelError(f"line {line} has class {label!r}", file=path)
    videos = {
        video: VideoAnnotation(segments=tuple(segments[video]), ignore=tuple(ignore.get(video, ())))
        for video in sorted(segments)
    }
    return Reading(Annotations("thumos14", CLASSES, videos), [])


def read_evaluation_json(path: str | PathLike[str], subset: str = "test") -> Reading[Annotations]:
    """Return the annotations of the field's evaluation JSON; ``subset`` is ``validation`` or ``test``.

    The report counts the videos of the release that it drops.
    """
    named = "train" if subset == "validation" else subset
    record, report = activitynet.read_ground_truth(path, named, CLASSES, "thumos14")
    tally = Tally()
    for video in DROPPED_BY_JSON if subset == "test" else ():
        if video not in record.videos:
            tally.note("videos of the release that the file drops", video)
    return Reading(record, report + tally.sentences())


def read_info(path: str | PathLike[str]) -> dict[str, dict[str, Any]]:
    """Return {video: {num_frames, fps, duration, width, height}} of a video-info JSON or csv.

    path: JSON of {video: {fps, duration, num_frame, height, width}}, or csv with columns video, fps,
        count (width and height are then unknown)
    raises: MissingFileError, FormatError
    """
    table: dict[str, dict[str, Any]] = {}
    try:
        if str(path).endswith(".json"):
            for video, row in read_json(path).items():
                sizes = {key: int(row[key]) for key in ("width", "height")}
                table[video] = {
                    "num_frames": int(row["num_frame"]), "fps": float(row["fps"]),
                    "duration": float(row["duration"]), **sizes,
                }  # fmt: skip
        else:
            for row in csv.DictReader(read_text(path).splitlines()):
                count, fps = float(row["count"]), float(row["fps"])
                table[row["video"]] = {"num_frames": int(count), "fps": fps, "duration": count / fps}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, StadError):
            raise
        raise FormatError(f"the table lacks or garbles a field ({error!r})", file=path) from None
    return table


def load(folder: str | PathLike[str], subset: str = "test", source: str = "text") -> Reading[Annotations]:
    """Return the annotations of a data-set folder with the videos' lengths and sizes where known.

    subset: ``validation`` or ``test``
    source: ``text`` (the release), ``csv`` or ``json`` (the field's tables)
    raises: MissingFileError, FormatError
    """
    folder = Path(folder)
    if subset not in SETS:
        raise FormatError(f"no set is called {subset!r}", remedy="validation or test")
    short = _SHORT[subset]
    if source == "text":
        record, report = read_text_folder(folder / f"annotations_{short}")
    elif source == "csv":
        record, report = read_csv(folder / f"{short}_Annotation.csv")
    elif source == "json":
        record, report = read_evaluation_json(folder / "thumos_gt.json", subset)
    else:
        raise FormatError(f"no source is called {source!r}", remedy="text, csv or json")
    info: dict[str, dict[str, Any]] = {}
    for name in (f"{short}_video_info.csv", "TH14_video_info.json"):
        if (folder / name).is_file():
            info |= read_info(folder / name)
    tally = Tally()
    record = with_info(record, info)
    _note_oddities(record, tally)
    return Reading(record, report + tally.sentences())


def with_info(annotations: Annotations, info: Mapping[str, Mapping[str, Any]]) -> Annotations:
    """Return the same annotations with frame counts, rates, durations and sizes filled in."""
    videos = {name: replace(video, **info.get(name, {})) for name, video in annotations.videos.items()}
    return Annotations(annotations.dataset, annotations.classes, videos)


def without_duplicates(annotations: Annotations) -> Annotations:
    """Return the annotations without the Diving segments that are CliffDiving segments too."""

    def kept(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        cliff = _cliff_spans(segments)
        return tuple(s for s in segments if s.label != "Diving" or (s.start, s.end) not in cliff)

    return _mapped(annotations, lambda video: replace(video, segments=kept(video.segments or ())))


def clipped(annotations: Annotations) -> Annotations:
    """Return the annotations cut at the end of each video; what lies wholly past it is left out."""

    def cut(video: VideoAnnotation) -> VideoAnnotation:
        if video.duration is None:
            return video
        inside = [s for s in video.segments or () if s.start < video.duration]
        return replace(video, segments=tuple(replace(s, end=min(s.end, video.duration)) for s in inside))

    return _mapped(annotations, cut)


def _mapped(annotations: Annotations, change: Any) -> Annotations:
    videos = {name: change(video) for name, video in annotations.videos.items()}
    return Annotations(annotations.dataset, annotations.classes, videos)


def _cliff_spans(segments: tuple[Segment, ...]) -> set[tuple[float, float]]:
    return {(s.start, s.end) for s in segments if s.label == "CliffDiving"}


def _note_oddities(annotations: Annotations, tally: Tally) -> None:
    for name, video in annotations.videos.items():
        segments = video.segments or ()
        cliff = _cliff_spans(segments)
        twice = sum(s.label == "Diving" and (s.start, s.end) in cliff for s in segments)
        tally.note("CliffDiving segments that stand again as Diving, kept", name, twice)
        if not segments:
            tally.note("videos with ambiguous spans only", name)
        if video.duration is None:
            tally.note("videos of unknown length", name)
        else:
            late = sum(s.end > video.duration for s in segments)
            tally.note("segments past the end of their video, kept (clipped() cuts them)", name, late)
