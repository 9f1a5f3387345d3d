"""MOTChallenge text (MOT16, MOT17, MOT20): a line a box, ``frame,id,left,top,width,height,conf,class,...``.

A sequence is a folder with ``gt/gt.txt`` and ``seqinfo.ini`` (size, rate, length). Frames, ids and boxes
count from 1, as the benchmark says. Beside a ``labels.txt``, as CVAT writes it, boxes count from 0, and line
n names class n; without it classes are the benchmark's twelve. A ``conf`` of 0 in the truth means "not
evaluated".
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownLabelError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import numbers, read_text, rows
from stad_lite.records.exchange.tracks import (
    Key,
    broken,
    number,
    of_track,
    tubes_of,
    tubes_with_gaps,
    whole,
    word,
)
from stad_lite.records.files import safe_name, write_folder
from stad_lite.records.types import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube

CLASSES = (
    "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non motorized vehicle",
    "static person", "distractor", "occluder", "occluder on the ground", "occluder full", "reflection",
)  # fmt: skip
"""The benchmark's classes, by number from 1."""

Row = tuple[int, int, float, int, list[float]]
"""Frame from 0, id, conf, class from 0, xyxy pixels."""
Video = TypeVar("Video")


def read_ground_truth(
    path: str | PathLike[str],
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    dataset: str = "mot",
) -> Reading[Annotations]:
    """Return the tracks of a ``gt.txt``, of a sequence's folder, or of a folder of sequences.

    A tube ends where its track has no line for a frame.
    size, fps: (width, height) and rate where there is no ``seqinfo.ini``
    raises: MissingFileError, FormatError, NotFiniteError, UnknownLabelError and what ``Tube`` raises
    """
    tally = Tally()

    def annotated(one: _Sequence) -> VideoAnnotation:
        about = {**_given(size, fps), **one.told}
        return _annotated(_rows(one.file, one.classes), one.classes, about, tally, one.name)

    classes, videos = _each(Path(path), "gt", annotated)
    try:
        return Reading(Annotations(dataset, classes, videos), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


class _Sequence(NamedTuple):
    """One text file of boxes, the classes that its numbers mean, and what ``seqinfo.ini`` tells."""

    file: Path
    name: str
    classes: tuple[str, ...]
    told: dict[str, Any]


def _each(
    path: Path, kind: str, read: Callable[[_Sequence], Video]
) -> tuple[tuple[str, ...], dict[str, Video]]:
    """Return the classes that all sequences have, and what is read of each, by name."""
    videos: dict[str, Video] = {}
    classes: tuple[str, ...] | None = None
    for file in _files(path, kind):
        try:
            known, told = _labels(file), _seqinfo(file)
            if classes not in (None, known):
                raise FormatError("its classes are others than those of the other sequences")
            classes = known
            name = told.pop("name", _name(file))
            if name in videos:
                raise FormatError(f"a second sequence is called {name}", remedy="rename one")
            videos[name] = read(_Sequence(file, name, known, told))
        except StadError as error:
            raise error.at(file=file) from None
    return classes or (), videos


def _next(frame: int) -> float:
    """The frame after one: all are looked at."""
    return frame + 1


def _given(size: tuple[int, int] | None, fps: float | None) -> dict[str, Any]:
    return {**({"width": size[0], "height": size[1]} if size else {}), **({"fps": fps} if fps else {})}


def _annotated(
    table: list[Row], classes: tuple[str, ...], about: dict[str, Any], tally: Tally, name: str
) -> VideoAnnotation:
    tracks: dict[int, list[Key]] = {}
    for frame, identity, conf, label, (x1, y1, x2, y2) in table:
        if conf == 0:
            tally.note("boxes that are not evaluated, left out", name)
        else:
            tracks.setdefault(identity, []).append(Key(frame, (x1, y1, x2, y2), classes[label]))
    if tracks and not ("width" in about and "height" in about):
        remedy = "put seqinfo.ini beside the folder gt, or give the size (--size WIDTH,HEIGHT)"
        raise FormatError("the size of the frames is not told", remedy=remedy)
    return VideoAnnotation(**about, tubes=tuple(tubes_with_gaps(tracks, _next)))


def read_results(path: str | PathLike[str]) -> Reading[Predictions]:
    """Return detections (``det.txt``, id -1) as boxes on frames, tracks as tubes with the mean of ``conf``.

    path: a file, or a folder of sequences with ``det/det.txt`` or of one ``NAME.txt`` a sequence
    raises: as in ``read_ground_truth``
    """
    classes, videos = _each(
        Path(path), "det", lambda one: _predicted(_rows(one.file, one.classes), one.classes)
    )
    try:
        return Reading(Predictions(classes, videos), [])
    except StadError as error:
        raise error.at(file=path) from None


def _predicted(table: list[Row], classes: tuple[str, ...]) -> VideoPredictions:
    single = [row for row in table if row[1] < 0]
    tracks: dict[int, list[Row]] = {}
    for row in table:
        if row[1] >= 0:
            tracks.setdefault(row[1], []).append(row)
    tubes: list[Tube] = []
    for identity, own in tracks.items():
        with of_track(identity):
            keys = [Key(row[0], (row[4][0], row[4][1], row[4][2], row[4][3]), classes[row[3]]) for row in own]
            score = {row[0]: row[2] for row in own}
            for tube in tubes_of(broken(keys, _next)):
                scores = np.array([score[int(frame)] for frame in tube.frames])
                tubes.append(Tube(tube.start, tube.boxes, tube.label, float(scores.mean()), scores))
    frames = None
    if single:
        frame, _, conf, label, box = zip(*single, strict=True)
        frames = FrameBoxes(np.array(frame), np.array(label), np.array(box), np.array(conf, dtype=float))
    return VideoPredictions(tubes=tuple(tubes) if tracks else None, frames=frames)


def _files(path: Path, kind: str) -> list[Path]:
    """The text files of all sequences."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob(f"{kind}/{kind}.txt")) or sorted(path.glob("*.txt"))
    if not found:
        remedy = f"expected SEQUENCE/{kind}/{kind}.txt"
        raise MissingFileError(f"there is no {kind}.txt", file=path, remedy=remedy)
    return found


def _folder(file: Path) -> Path | None:
    """The sequence's own folder, where the file lies in one."""
    return file.absolute().parent.parent if file.absolute().parent.name in ("gt", "det") else None


def _name(file: Path) -> str:
    folder = _folder(file)
    return folder.name if folder and folder.name else file.stem


def _labels(file: Path) -> tuple[str, ...]:
    names = file.parent / "labels.txt"
    if _folder(file) is None or not names.is_file():
        return CLASSES
    found = tuple(line.strip() for line in read_text(names).splitlines() if line.strip())
    if len(set(found)) != len(found):
        raise FormatError("a class stands twice", file=names, remedy="name every class once")
    return found


def _seqinfo(file: Path) -> dict[str, Any]:
    """What a sequence's ``seqinfo.ini`` tells: name, num_frames, width, height, fps."""
    folder = _folder(file)
    if folder is None or not (folder / "seqinfo.ini").is_file():
        return {}
    place = folder / "seqinfo.ini"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(place))
        told: Mapping[str, str] = parser["Sequence"]
    except (configparser.Error, KeyError) as error:
        first = " ".join(str(error).split())[:200]
        raise FormatError(f"not a description of a sequence ({first})", file=place) from None
    try:
        found: dict[str, Any] = {
            field: whole(told[key], key, 1)
            for key, field in (("seqLength", "num_frames"), ("imWidth", "width"), ("imHeight", "height"))
            if key in told
        }
        found |= {"fps": number(told["frameRate"], "frameRate")} if "frameRate" in told else {}
    except StadError as error:
        raise error.at(file=place) from None
    return {**found, **({"name": told["name"]} if told.get("name") else {})}


def _rows(file: Path, classes: tuple[str, ...]) -> list[Row]:
    found: list[Row] = []
    shift = 0.0 if (file.parent / "labels.txt").is_file() and _folder(file) else 1.0
    for line, fields in rows(file):
        if len(fields) < 6:
            raise FormatError(
                f"line {line} has {len(fields)} fields", remedy="a line is frame,id,x,y,w,h,..."
            )
        values = numbers(fields[:8], file, line)
        frame, identity = whole(values[0], f"line {line}: frame", 1) - 1, int(values[1])
        conf = values[6] if len(values) > 6 else 1.0
        label = values[7] if len(values) > 7 and values[7] != -1 else 1.0
        if label not in range(1, len(classes) + 1):
            remedy = f"give a number from 1 to {len(classes)}, or name the classes in labels.txt"
            raise UnknownLabelError(f"line {line} has class {label:g}", frame=frame, remedy=remedy)
        x, y, width, height = values[2:6]
        if not (width > 0 and height > 0):
            remedy = "correct or remove the line"
            raise FormatError(f"line {line}: the box is empty", frame=frame, remedy=remedy)
        x, y = x - shift, y - shift
        found.append((frame, identity, conf, int(label) - 1, [x, y, x + width, y + height]))
    return found


def write_ground_truth(annotations: Annotations, folder: str | PathLike[str]) -> list[Path]:
    """Write a new folder of sequences, each with ``gt/gt.txt``, ``gt/labels.txt`` and ``seqinfo.ini``.

    Boxes count from 0, beside ``labels.txt``. Boxes on single frames, segments and times have no place here.
    raises: FormatError for a video whose size or number of frames is not known, or a name with line breaks
    """
    return write_folder(folder, _sequences(annotations))


def _sequences(annotations: Annotations) -> Iterator[tuple[str, bytes]]:
    index = {name: i + 1 for i, name in enumerate(annotations.classes)}
    labels = "".join(f"{word(name)}\n" for name in annotations.classes)
    for name, video in annotations.videos.items():
        if video.num_frames is None or video.width is None or video.height is None:
            remedy = "give num_frames, width and height"
            raise FormatError("its size or number of frames is not known", video=name, remedy=remedy)
        told = {"name": word(name), "seqLength": video.num_frames}
        told |= {"frameRate": video.fps} if video.fps else {}
        told |= {"imWidth": video.width, "imHeight": video.height}
        lines = []
        for identity, tube in enumerate(video.tubes or (), 1):
            for frame, (x1, y1, x2, y2) in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
                box = ",".join(repr(value) for value in (x1, y1, x2 - x1, y2 - y1))
                lines.append(f"{frame + 1},{identity},{box},1,{index[tube.label]},1\n")
        place = safe_name(name)
        info = "".join(f"{key}={value}\n" for key, value in told.items())
        yield f"{place}/seqinfo.ini", f"[Sequence]\n{info}".encode()
        yield f"{place}/gt/labels.txt", labels.encode()
        yield f"{place}/gt/gt.txt", "".join(lines).encode()
