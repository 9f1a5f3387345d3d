"""YOWO's folders of text: one file a frame, ``<Class>_<clip>_<frame>.txt``.

Ground truth lines are ``class x1 y1 x2 y2``, detections ``class score x1 y1 x2 y2``; classes and
frames count from 1. The numbers of the boxes are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownLabelError, UnknownVideoError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import numbers, rows
from stad_lite.records.files import safe_name, write_folder
from stad_lite.records.types import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions


def read_ground_truth(
    folder: str | PathLike[str],
    classes: Sequence[str],
    width: int = 320,
    height: int = 240,
    dataset: str = "yowo",
) -> Reading[Annotations]:
    """Return the boxes of a folder of ground truth; the evaluated frames are those that have a file.

    classes: names by number; a file's class is the part of its name that stands first
    width, height: pixels of every frame
    raises: MissingFileError, FormatError, UnknownVideoError, UnknownLabelError with file and line
    """
    found, frames, tally = _read(folder, classes, scored=False)
    videos = {
        name: VideoAnnotation(
            width=width, height=height, frames=boxes, evaluated_frames=np.array(sorted(frames[name]))
        )
        for name, boxes in found.items()
    }
    return Reading(Annotations(dataset, tuple(classes), videos), tally.sentences())


def read_detections(folder: str | PathLike[str], classes: Sequence[str]) -> Reading[Predictions]:
    """Return the boxes of a folder of detections.

    classes, raises: as in ``read_ground_truth``
    """
    found, _, tally = _read(folder, classes, scored=True)
    videos = {name: VideoPredictions(frames=boxes) for name, boxes in found.items()}
    return Reading(Predictions(tuple(classes), videos), tally.sentences())


def write_ground_truth(annotations: Annotations, folder: str | PathLike[str]) -> list[Path]:
    """Write a new folder of a file for every frame that has a box or is evaluated, whole or not at all.

    Video ids are ``Class/clip``; tubes are written frame by frame.
    raises: FormatError where the folder holds something, or two ids would share a file
    """
    return write_folder(folder, _truth_files(annotations))


def _truth_files(annotations: Annotations) -> Iterator[tuple[str, bytes]]:
    index = {name: i for i, name in enumerate(annotations.classes)}
    for name, video in annotations.videos.items():
        lines: dict[int, list[str]] = {
            int(f): [] for f in (() if video.evaluated_frames is None else video.evaluated_frames)
        }
        for tube in video.tubes or ():
            for frame, box in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
                lines.setdefault(frame, []).append(_line(index[tube.label], None, box))
        if video.frames is not None:
            for frame, label, box in zip(
                video.frames.frame, video.frames.label, video.frames.box, strict=True
            ):
                lines.setdefault(int(frame), []).append(_line(int(label), None, box.tolist()))
        yield from _files(name, lines)


def write_detections(predictions: Predictions, folder: str | PathLike[str]) -> list[Path]:
    """Write a new folder of a file for every frame that has a box. Video ids are ``Class/clip``.

    raises: as in ``write_ground_truth``
    """
    return write_folder(folder, _detected_files(predictions))


def _detected_files(predictions: Predictions) -> Iterator[tuple[str, bytes]]:
    for name, video in predictions.videos.items():
        lines: dict[int, list[str]] = {}
        boxes = video.frames
        if boxes is not None and boxes.score is not None:
            columns = (boxes.frame, boxes.label, boxes.score, boxes.box)
            for frame, label, score, box in zip(*(column.tolist() for column in columns), strict=True):
                lines.setdefault(frame, []).append(_line(label, score, box))
        yield from _files(name, lines)


def _read(
    folder: str | PathLike[str], classes: Sequence[str], scored: bool
) -> tuple[dict[str, FrameBoxes], dict[str, list[int]], Tally]:
    folder, tally = Path(folder), Tally()
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise MissingFileError(
            "there is no .txt file", file=folder, remedy="expected <Class>_<clip>_<frame>.txt"
        )
    first = 2 if scored else 1
    parts: dict[str, list[list[float]]] = {}
    frames: dict[str, list[int]] = {}
    for file in files:
        video, frame = _place(file, classes)
        frames.setdefault(video, []).append(frame)
        kept = parts.setdefault(video, [])
        for line, fields in rows(file, comma=False):
            if len(fields) != first + 4:
                raise FormatError(f"line {line} has {len(fields)} fields, not {first + 4}", file=file)
            values = numbers(fields, file, line)
            if values[0] not in range(1, len(classes) + 1):
                raise UnknownLabelError(f"line {line} has class {fields[0]} of {len(classes)}", file=file)
            box = values[first:]
            if box[2] <= box[0] or box[3] <= box[1]:
                tally.note("boxes without area, dropped", video)
            else:
                kept.append([frame, values[0] - 1, *box, values[1] if scored else 0.0])
    return {video: _columns(kept, scored) for video, kept in parts.items()}, frames, tally


def _columns(kept: list[list[float]], scored: bool) -> FrameBoxes:
    table = np.array(kept, dtype=np.float64).reshape(-1, 7)
    return FrameBoxes(table[:, 0], table[:, 1], table[:, 2:6], table[:, 6] if scored else None)


def _place(file: Path, classes: Sequence[str]) -> tuple[str, int]:
    """The video id and 0-based frame that a file's name tells; class names may hold underscores."""
    head, _, frame = unquote(file.stem).rpartition("_")
    fits = [name for name in classes if head.startswith(f"{name}_")]
    if not fits or not frame.isdigit() or int(frame) < 1:
        raise UnknownVideoError("the name is not <Class>_<clip>_<frame>.txt with a known class", file=file)
    name = max(fits, key=len)
    return f"{name}/{head[len(name) + 1 :]}", int(frame) - 1


def _line(label: int, score: float | None, box: Iterable[float]) -> str:
    middle = "" if score is None else f" {score!r}"
    return f"{label + 1}{middle} {' '.join(f'{value:.17g}' for value in box)}\n"


def _files(video: str, lines: Mapping[int, list[str]]) -> Iterator[tuple[str, bytes]]:
    if video.count("/") != 1:
        raise StadError("the id is not Class/clip", video=video, remedy="this format needs the class")
    stem = safe_name(video.replace("/", "_"))
    for frame, text in sorted(lines.items()):
        yield f"{stem}_{frame + 1:05d}.txt", "".join(text).encode()
