"""AVA's csv files: ground truth, results, lists of actions and of timestamps.

A row is ``video,timestamp,x1,y1,x2,y2,action[,person or score]``, boxes as shares of the frame. Key
frames stand at whole seconds, so the frame number here is the second (fps 1) unless ``fps`` says
otherwise. Where a video's size is not given its frame is 1 x 1: the boxes stay shares, and every
overlap is what it would be in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, StadError, UnknownLabelError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import cell, numbers, read_text, rows, write_text
from stad_lite.records.types import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions

Sizes = Mapping[str, tuple[int, int]]
"""Width and height by video."""

_HEADS = ("video", "video_id")


@dataclass
class _Table:
    """The rows of one csv as columns; ``extra`` is NaN where the last column is missing."""

    video: np.ndarray
    time: np.ndarray
    box: np.ndarray
    action: np.ndarray
    extra: np.ndarray
    empty: dict[str, list[float]]


def read_action_list(path: str | PathLike[str]) -> dict[int, str]:
    """Return the table id -> name of an action list (``label {name, label_id}`` or ``item {name, id}``).

    raises: FormatError where nothing is found or an id stands twice
    """
    text = read_text(path)
    pairs = re.findall(r'name:\s*"((?:[^"\\]|\\.)*)"\s*(?:label_)?id:\s*(\d+)', text)
    table = {int(number): re.sub(r"\\(.)", r"\1", name) for name, number in pairs}
    if not table or len(table) != len(pairs) or len(pairs) != len(re.findall(r"\{", text)):
        raise FormatError(f"{len(pairs)} actions read, {len(table)} of them distinct", file=path)
    return dict(sorted(table.items()))


def read_timestamps(path: str | PathLike[str]) -> dict[str, list[int]]:
    """Return the seconds by video of a list of ``video,timestamp`` rows (excluded timestamps)."""
    table: dict[str, list[int]] = {}
    for line, fields in rows(path):
        if len(fields) != 2:
            raise FormatError(f"line {line} has {len(fields)} fields, not video,timestamp", file=path)
        table.setdefault(fields[0], []).append(int(numbers(fields[1:], path, line)[0]))
    return table


def read_ground_truth(
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float = 1.0,
    excluded: Mapping[str, Sequence[int]] | None = None,
    dataset: str = "ava",
) -> Reading[Annotations]:
    """Return the boxes of a ground-truth csv; evaluated frames are the labelled ones not excluded.

    path: rows of 7 or 8 fields (the eighth is the person), or of 2 (a key frame without boxes); a
        header is left out
    actions: names by id; rows of other ids are dropped and counted, as the official evaluation does
    sizes: width and height by video; 1 x 1 without them
    fps: frames a second that frame numbers count
    excluded: seconds by video that evaluation leaves out
    raises: MissingFileError, FormatError, NotFiniteError with file and line
    """
    tally = Tally()
    table, persons = _read(path, tally)
    tally.note("rows without a person id", "", 0 if persons else len(table.time))
    keep = _known(table, actions, tally) & _solid(table, tally)
    index = {number: i for i, number in enumerate(actions)}
    videos = {}
    for name, mine in _groups(table).items():
        rows_kept = mine[keep[mine]]
        width, height = (sizes or {}).get(name, (1, 1))
        seconds = np.union1d(table.time[mine], table.empty.get(name, []))
        left_out = np.isin(seconds, list((excluded or {}).get(name, ())))
        tally.note("key frames excluded from evaluation", name, int(left_out.sum()))
        videos[name] = VideoAnnotation(
            width=width,
            height=height,
            fps=fps,
            frames=FrameBoxes(
                _frames(table.time[rows_kept], fps),
                np.array([index[int(number)] for number in table.action[rows_kept]]),
                table.box[rows_kept] * [width, height, width, height],
                person=table.extra[rows_kept] if persons else None,
            ),
            evaluated_frames=_frames(seconds[~left_out], fps),
        )
    return Reading(_checked(Annotations, path, dataset, tuple(actions.values()), videos), tally.sentences())


def write_ground_truth(
    annotations: Annotations, path: str | PathLike[str], actions: Mapping[int, str]
) -> Path:
    """Write boxes as rows of 8 fields (7 where persons are unknown), key frames without boxes as 2."""
    lines = []
    for name, video in annotations.videos.items():
        if video.frames is None:
            continue
        fps, boxes = video.fps or 1.0, video.frames
        extra = None if boxes.person is None else [str(person) for person in boxes.person]
        size = (video.width or 1, video.height or 1)
        lines += _lines(name, boxes, annotations.classes, actions, size, fps, extra)
        if video.evaluated_frames is not None:
            bare = np.setdiff1d(video.evaluated_frames, boxes.frame)
            lines += [f"{name},{_stamp(frame / fps)}\n" for frame in bare]
    return write_text(path, "".join(lines))


def read_results(
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float = 1.0,
) -> Reading[Predictions]:
    """Return the boxes of a results csv: rows of 8 fields, the eighth the score.

    actions, sizes, fps: as in ``read_ground_truth``
    raises: MissingFileError, FormatError, NotFiniteError with file and line
    """
    tally = Tally()
    table, scored = _read(path, tally)
    if len(table.time) and not scored:
        raise FormatError("the rows have no score", file=path, remedy="the eighth field is the score")
    keep = _known(table, actions, tally) & _solid(table, tally)
    index = {number: i for i, number in enumerate(actions)}
    videos = {}
    for name, mine in _groups(table).items():
        mine = mine[keep[mine]]
        width, height = (sizes or {}).get(name, (1, 1))
        labels = np.array([index[int(number)] for number in table.action[mine]])
        scale = [width, height, width, height]
        boxes = FrameBoxes(
            _frames(table.time[mine], fps), labels, table.box[mine] * scale, score=table.extra[mine]
        )
        videos[name] = VideoPredictions(frames=boxes)
    return Reading(_checked(Predictions, path, tuple(actions.values()), videos), tally.sentences())


def write_results(
    predictions: Predictions,
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float = 1.0,
) -> Path:
    """Write boxes as rows ``video,timestamp,x1,y1,x2,y2,action,score``."""
    lines = []
    for name, video in predictions.videos.items():
        if video.frames is not None and video.frames.score is not None:
            size = (sizes or {}).get(name, (1, 1))
            scores = [repr(float(score)) for score in video.frames.score]
            lines += _lines(name, video.frames, predictions.classes, actions, size, fps, scores)
    return write_text(path, "".join(lines))


def _read(path: str | PathLike[str], tally: Tally) -> tuple[_Table, bool]:
    """The csv as columns, and whether its eighth column holds numbers."""
    names: list[str] = []
    values: list[list[float]] = []
    empty: dict[str, list[float]] = {}
    status = False
    for line, fields in rows(path):
        if fields[0] in _HEADS:
            status = fields[-1] == "status"
            continue
        while len(fields) > 2 and not fields[-1]:
            fields.pop()
        if len(fields) == 2:
            empty.setdefault(fields[0], []).append(numbers(fields[1:], path, line)[0])
            tally.note("key frames without boxes", fields[0])
            continue
        if len(fields) not in (7, 8):
            raise FormatError(f"line {line} has {len(fields)} fields, not 2, 7 or 8", file=path)
        row = numbers(fields[1:7] if status else fields[1:], path, line)
        names.append(fields[0])
        values.append(row if len(row) == 7 else [*row, np.nan])
    columns = np.array(values, dtype=np.float64).reshape(-1, 7)
    extra = columns[:, 6]
    if np.isnan(extra).any() and not np.isnan(extra).all():
        raise FormatError("some rows have 7 fields and others 8", file=path)
    for name in empty.keys() - set(names):
        tally.note("videos with key frames but no box", name)
    table = _Table(np.array(names, dtype=str), columns[:, 0], columns[:, 1:5], columns[:, 5], extra, empty)
    return table, bool(len(extra)) and not np.isnan(extra).any()


def _known(table: _Table, actions: Mapping[int, str], tally: Tally) -> np.ndarray:
    known = np.isin(table.action, list(actions))
    for number in np.unique(table.action[~known]):
        what = "rows of actions that are not in the list, dropped"
        tally.note(what, f"action {number:g}", int((table.action == number).sum()))
    return known


def _solid(table: _Table, tally: Tally) -> np.ndarray:
    solid: np.ndarray = np.all(table.box[:, 2:] > table.box[:, :2], axis=1)
    for name in table.video[~solid]:
        tally.note("boxes without area, dropped", str(name))
    return solid


def _groups(table: _Table) -> dict[str, np.ndarray]:
    """Row numbers by video, in the file's order within a video; videos sorted by name."""
    order = np.argsort(table.video, kind="stable")
    names, starts = np.unique(table.video[order], return_index=True)
    groups = dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(names) else {}
    none = np.zeros(0, dtype=int)
    return {name: groups.get(name, none) for name in sorted({*groups, *table.empty})}


def _frames(seconds: np.ndarray, fps: float) -> np.ndarray:
    return np.rint(np.asarray(seconds, dtype=np.float64) * fps).astype(np.int64)


def _stamp(seconds: float) -> str:
    return f"{round(seconds):04d}"


def _lines(
    name: str,
    boxes: FrameBoxes,
    classes: Sequence[str],
    actions: Mapping[int, str],
    size: tuple[int, int],
    fps: float,
    extra: list[str] | None,
) -> list[str]:
    cell(f"{name}," if name in _HEADS else name)
    ids = {label: number for number, label in actions.items()}
    unknown = next((label for label in classes if label not in ids), None)
    if unknown is not None:
        raise UnknownLabelError(f"class {unknown!r} is not in the list of actions", video=name)
    shares = (boxes.box / [*size, *size]).tolist()
    lines = []
    for i, (frame, label) in enumerate(zip(boxes.frame.tolist(), boxes.label.tolist(), strict=True)):
        corners = ",".join(repr(share) for share in shares[i])
        tail = "" if extra is None else f",{extra[i]}"
        lines.append(f"{name},{_stamp(frame / fps)},{corners},{ids[classes[label]]}{tail}\n")
    return lines


def _checked(kind: Any, path: str | PathLike[str], *content: object) -> Any:
    try:
        return kind(*content)
    except StadError as error:
        raise error.at(file=path) from None
