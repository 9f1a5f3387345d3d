"""ActivityNet JSON: ground truth in its four layouts, results, and the same with THUMOS14 inside.

Ids stand with and without the prefix ``v_`` in the field's files; here they stand without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, StadError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import read_json, write_text
from stad_lite.records.typed import no_collection, trusted
from stad_lite.records.types import Annotations, Predictions, Segment, VideoAnnotation, VideoPredictions

_YOUTUBE_ID = 11
"""Characters of a bare id; the prefix is only a prefix where this many follow."""


def bare_id(video: str) -> str:
    """Return an id without the prefix that some files put before it.

    >>> bare_id("v_QOlSCBRmfWY"), bare_id("QOlSCBRmfWY"), bare_id("v_abcdefghi")
    ('QOlSCBRmfWY', 'QOlSCBRmfWY', 'v_abcdefghi')
    """
    return video[2:] if video.startswith("v_") and len(video) == _YOUTUBE_ID + 2 else video


@no_collection()
def read_ground_truth(
    path: str | PathLike[str],
    subset: str | None = None,
    classes: Sequence[str] | None = None,
    dataset: str = "activitynet-1.3",
) -> Reading[Annotations]:
    """Return the segments of a ground-truth JSON.

    path: {"database": {id: entry}}, {id: entry} or a list of entries with "name"; an entry has
        "annotations" of {"segment": [start, end], "label"} in seconds (strings are read as numbers),
        and "duration" or "duration_second", "subset", "resolution" where they are known
    subset: take the videos of this subset only (``training``, ``validation``, ``test``)
    classes: names by index; without them, the labels met in the file, sorted
    raises: MissingFileError, TruncatedFileError, FormatError, UnknownLabelError
    """
    entries = _entries(read_json(path), path)
    tally = Tally()
    videos: dict[str, VideoAnnotation] = {}
    names: set[str] = set()
    for name, entry in entries:
        try:
            if not isinstance(entry, Mapping):
                raise FormatError("the entry is not an object")
            if subset is not None and entry.get("subset") != subset:
                continue
            if bare_id(name) in videos:
                raise FormatError("the video stands twice, with and without v_", remedy="keep one of the two")
            video = _video(entry, name, tally)
        except StadError as error:
            raise error.at(file=path, video=name) from None
        videos[bare_id(name)] = video
        names.update(segment.label for segment in video.segments or ())
    if subset is not None and not videos:
        raise FormatError(f"no video is of subset {subset!r}", file=path, remedy="check the subset's name")
    try:
        record = Annotations(dataset, tuple(classes) if classes is not None else tuple(sorted(names)), videos)
    except StadError as error:
        raise error.at(file=path) from None
    return Reading(record, tally.sentences())


def write_ground_truth(
    annotations: Annotations, path: str | PathLike[str], subset: str = "validation"
) -> Path:
    """Write segments as {"database": {id: {duration, subset, annotations}}} (gzipped where named .gz)."""
    database: dict[str, Any] = {}
    for name, video in annotations.videos.items():
        entry: dict[str, Any] = {"subset": subset}
        if video.duration is not None:
            entry["duration"] = video.duration
        if video.width is not None and video.height is not None:
            entry["resolution"] = f"{video.width}x{video.height}"
        entry["annotations"] = [
            {"segment": [segment.start, segment.end], "label": segment.label}
            for segment in video.segments or ()
        ]
        database[name] = entry
    return write_text(
        path, json.dumps({"version": annotations.dataset, "database": database, "taxonomy": []})
    )


@no_collection()
def read_results(
    path: str | PathLike[str], classes: Sequence[str] | None = None, unknown: str = "error"
) -> Reading[Predictions]:
    """Return the segments of a submission: {"results": {id: [{"label", "score", "segment"}]}}.

    classes: names by index; without them, the labels met in the file, sorted
    unknown: what becomes of labels outside ``classes``: ``error``, or ``drop`` (counted in the report)
    raises: MissingFileError, TruncatedFileError, FormatError, NotFiniteError, UnknownLabelError
    """
    document = read_json(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("results"), Mapping):
        raise FormatError("there is no table of results", file=path, remedy='expected {"results": {...}}')
    tally = Tally()
    found: dict[str, list[Segment]] = {}
    names: set[str] = set()
    known = None if classes is None or unknown != "drop" else set(classes)
    for name, entries in document["results"].items():
        try:
            segments = [_segment(entry, name, tally, scored=True) for entry in _list(entries)]
        except StadError as error:
            raise error.at(file=path, video=name) from None
        if known is not None:
            tally.note(
                "segments of unknown classes, dropped", name, sum(s.label not in known for s in segments)
            )
            segments = [segment for segment in segments if segment.label in known]
        found.setdefault(bare_id(name), []).extend(segments)
        names.update(segment.label for segment in segments)
    videos = {name: VideoPredictions(segments=tuple(segments)) for name, segments in found.items()}
    try:
        record = Predictions(tuple(classes) if classes is not None else tuple(sorted(names)), videos)
    except StadError as error:
        raise error.at(file=path) from None
    return Reading(record, tally.sentences())


def write_results(predictions: Predictions, path: str | PathLike[str], version: str = "VERSION 1.3") -> Path:
    """Write predicted segments as a submission (gzipped where the name ends in .gz)."""
    results = {
        name: [
            {"label": segment.label, "score": segment.score, "segment": [segment.start, segment.end]}
            for segment in video.segments or ()
        ]
        for name, video in predictions.videos.items()
    }
    external = {"used": False, "details": ""}
    return write_text(path, json.dumps({"version": version, "results": results, "external_data": external}))


def _entries(document: Any, path: str | PathLike[str]) -> Iterable[tuple[str, Any]]:
    if isinstance(document, Mapping):
        document = document.get("database", document)
    if isinstance(document, list) and all(isinstance(e, Mapping) and "name" in e for e in document):
        return [(str(entry["name"]), entry) for entry in document]
    if not isinstance(document, Mapping) or not document:
        raise FormatError("there is no table of videos", file=path, remedy='expected {"database": {...}}')
    return document.items()


def _video(entry: Mapping[str, Any], name: str, tally: Tally) -> VideoAnnotation:
    duration = entry.get("duration", entry.get("duration_second"))
    duration = None if duration is None else _number(duration, "duration")
    frames = entry.get("duration_frame")
    width, height = _resolution(entry.get("resolution"))
    segments = []
    for item in _list(entry.get("annotations", [])):
        segment = _segment(item, name, tally, scored=False)
        if duration is not None and segment.end > duration:
            tally.note("segments past the end of their video, kept", name)
        segments.append(segment)
    return VideoAnnotation(
        num_frames=int(frames) if frames else None,
        width=width,
        height=height,
        duration=duration,
        segments=tuple(segments),
    )


def _resolution(value: Any) -> tuple[int | None, int | None]:
    parts = str(value).split("x")
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        return int(parts[0]), int(parts[1])
    return None, None


def _segment(item: Any, name: str, tally: Tally, scored: bool) -> Segment:
    plain = _plain(item, scored)
    if plain is not None:
        return plain
    if not isinstance(item, dict) or not isinstance(item.get("label"), str):
        raise FormatError(f"an annotation is {str(item)[:60]!r}", remedy="it needs segment and label")
    bounds = item.get("segment")
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise FormatError(f"a segment is {bounds!r}", remedy="a segment is [start, end] in seconds")
    start, end = (_number(bound, "segment", tally, name) for bound in bounds)
    if end < start and scored:
        tally.note("segments with start after end, kept without length: they match nothing", name)
        end = start
    elif end < start:
        tally.note("segments with start after end, swapped", name)
        start, end = end, start
    elif end == start:
        tally.note("zero-length segments, kept", name)
    score = _number(item.get("score"), "score") if scored else None
    return Segment(item["label"], start, end, score)


def _plain(item: Any, scored: bool) -> Segment | None:
    """The segment of an item with nothing odd to it, as nearly all are; else None."""
    try:
        label, (start, end), score = item["label"], item["segment"], item["score"] if scored else 0.0
    except (KeyError, TypeError, ValueError):
        return None
    if not (type(label) is str and type(start) is type(end) is type(score) is float):
        return None
    # the differences of numbers that are not finite are none either
    if not (0.0 < end - start < math.inf and score - score == 0.0):
        return None
    return trusted(Segment, label=label, start=start, end=end, score=score if scored else None)


def _number(value: Any, what: str, tally: Tally | None = None, name: str = "") -> float:
    if isinstance(value, str) and tally is not None:
        tally.note("times written as strings, read as numbers", name)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise FormatError(f"{what} is {value!r}, not a number") from None
    if not math.isfinite(number):
        raise FormatError(f"{what} is {value!r}, not a finite number")
    return number


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"the annotations are a {type(value).__name__}, not a list")
    return value
