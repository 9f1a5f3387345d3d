"""THUMOS14's text files: one file a class of ground truth, and detections in one table.

Class numbers are those of the release (7 to 97 for the twenty detection classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownLabelError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import numbers, rows, word, write_text
from stad_lite.records.files import safe_name, write_folder
from stad_lite.records.types import Annotations, Predictions, Segment, VideoAnnotation, VideoPredictions

CLASS_IDS = {
    7: "BaseballPitch",
    9: "BasketballDunk",
    12: "Billiards",
    21: "CleanAndJerk",
    22: "CliffDiving",
    23: "CricketBowling",
    24: "CricketShot",
    26: "Diving",
    31: "FrisbeeCatch",
    33: "GolfSwing",
    36: "HammerThrow",
    40: "HighJump",
    45: "JavelinThrow",
    51: "LongJump",
    68: "PoleVault",
    79: "Shotput",
    85: "SoccerPenalty",
    92: "TennisSwing",
    93: "ThrowDiscus",
    97: "VolleyballSpiking",
}
"""The twenty detection classes by their number in the release."""

CLASSES = tuple(CLASS_IDS.values())
"""Class names in the order of their numbers."""

AMBIGUOUS = "Ambiguous"
"""Spans that count neither for nor against."""


def read_ground_truth(
    folder: str | PathLike[str], dataset: str = "thumos14", subset: str | None = None
) -> Reading[Annotations]:
    """Return the segments of a folder of ``<Class>_<set>.txt`` (lines ``video  start end``, seconds).

    The file ``Ambiguous_<set>.txt`` gives each video's spans to ignore; other text is left alone.
    subset: the set, where the folder holds several
    raises: MissingFileError where the folder has no such file, FormatError with file and line, and where two
        sets would be merged
    """
    folder = Path(folder)
    files = {name: sorted(folder.glob(f"{name}_{subset or '*'}.txt")) for name in (*CLASSES, AMBIGUOUS)}
    sets = {file.stem.partition("_")[2] for found in files.values() for file in found}
    if len(sets) > 1:
        problem = f"the folder holds several sets: {', '.join(sorted(sets))}"
        raise FormatError(problem, file=folder, remedy="choose one as the subset, or part the folder")
    if not any(files[name] for name in CLASSES):
        raise MissingFileError(
            "no class has a text file here", file=folder, remedy="expected files like Diving_test.txt"
        )
    tally = Tally()
    segments: dict[str, list[Segment]] = {}
    ignore: dict[str, list[tuple[float, float]]] = {}
    for name, found in files.items():
        if not found:
            tally.note("classes without a file", name)
        for file in found:
            for video, start, end in _spans(file, tally):
                segments.setdefault(video, [])
                if name == AMBIGUOUS:
                    ignore.setdefault(video, []).append((start, end))
                else:
                    segments[video].append(Segment(name, start, end))
    videos = {
        video: VideoAnnotation(segments=tuple(segments[video]), ignore=tuple(ignore.get(video, ())))
        for video in sorted(segments)
    }
    return Reading(Annotations(dataset, CLASSES, videos), tally.sentences())


def write_ground_truth(
    annotations: Annotations, folder: str | PathLike[str], subset: str = "test"
) -> list[Path]:
    """Write a new folder of one ``<Class>_<subset>.txt`` a class, whole or not at all.

    The ignored spans are ``Ambiguous_<subset>.txt``.
    raises: FormatError where the folder holds something, and for a class called Ambiguous
    """
    if AMBIGUOUS in annotations.classes:
        raise FormatError(f"a class is called {AMBIGUOUS}, as spans to ignore are", remedy="rename it")
    lines: dict[str, list[str]] = {name: [] for name in (*annotations.classes, AMBIGUOUS)}
    for name, video in annotations.videos.items():
        _check_id(name)
        for segment in video.segments or ():
            lines[segment.label].append(f"{word(name)}  {segment.start!r} {segment.end!r}\n")
        for start, end in video.ignore:
            lines[AMBIGUOUS].append(f"{word(name)}  {start!r} {end!r}\n")
    return write_folder(
        folder,
        ((safe_name(f"{label}_{subset}.txt"), "".join(text).encode()) for label, text in lines.items()),
    )


def read_detections(
    path: str | PathLike[str], class_ids: Mapping[int, str] = CLASS_IDS
) -> Reading[Predictions]:
    """Return the segments of a table ``video start end class score`` (seconds; plain or gzipped).

    class_ids: names by the number in the fourth column
    raises: MissingFileError, FormatError, NotFiniteError, UnknownLabelError with file and line
    """
    tally = Tally()
    found: dict[str, list[Segment]] = {}
    for line, fields in rows(path, comma=False):
        if len(fields) != 5:
            raise FormatError(
                f"line {line} has {len(fields)} fields, not video start end class score", file=path
            )
        start, end, number, score = numbers(fields[1:], path, line)
        if number not in class_ids:
            raise UnknownLabelError(f"line {line} has class {fields[3]}, which has no name", file=path)
        if end < start:
            tally.note("detections with start after end, kept without length: they match nothing", fields[0])
            end = start
        found.setdefault(fields[0], []).append(Segment(class_ids[int(number)], start, end, score))
    videos = {name: VideoPredictions(segments=tuple(segments)) for name, segments in found.items()}
    try:
        return Reading(Predictions(tuple(class_ids.values()), videos), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


def write_detections(
    predictions: Predictions, path: str | PathLike[str], class_ids: Mapping[int, str] = CLASS_IDS
) -> Path:
    """Write segments as a table ``video start end class score``; numbers are written in full."""
    numbers_of = {name: number for number, name in class_ids.items()}
    lines = []
    for name, video in predictions.videos.items():
        _check_id(name)
        for s in video.segments or ():
            if s.label not in numbers_of:
                raise UnknownLabelError(f"class {s.label!r} has no number", video=name)
            lines.append(f"{word(name)} {s.start!r} {s.end!r} {numbers_of[s.label]} {s.score!r}\n")
    return write_text(path, "".join(lines))


def _check_id(video: str) -> None:
    if video.split() != [video]:
        problem = "this format parts its columns by blanks, and the id holds one"
        raise FormatError(problem, video=video, remedy="choose another format, or rename the video")


def _spans(file: Path, tally: Tally) -> list[tuple[str, float, float]]:
    spans = []
    for line, fields in rows(file, comma=False):
        if len(fields) != 3:
            raise FormatError(f"line {line} has {len(fields)} fields, not video start end", file=file)
        start, end = numbers(fields[1:], file, line)
        if end < start:
            tally.note("spans with start after end, swapped", fields[0])
            start, end = end, start
        if end == start:
            tally.note("zero-length segments, kept", fields[0])
        spans.append((fields[0], start, end))
    return spans
