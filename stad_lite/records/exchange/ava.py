"""AVA's csv files: ground truth, results, lists of actions and of timestamps.

A row is ``video,timestamp,x1,y1,x2,y2,action[,person or score]``, boxes as shares of the frame. Time is
seconds, with or without decimals: where all are whole, the frame number here is the second (fps 1), else the
millionth of a second (fps 1,000,000), unless ``fps`` gives numbers that say the same. Where a video's
size is not given its frame is 1 x 1: the boxes stay shares, and every overlap is what it would be in pixels.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, StadError, UnknownLabelError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import cell, numbers, read_text, rows, write_text
from stad_lite.records.typed import trusted
from stad_lite.records.types import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions

Sizes = Mapping[str, tuple[int, int]]
"""Width and height by video."""

MILLIONTHS = 1e6
"""Numbers a second where seconds have decimals: as many as the official evaluation looks at."""

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


def read_timestamps(path: str | PathLike[str]) -> dict[str, list[float]]:
    """Return the seconds by video of a list of ``video,timestamp`` rows (excluded timestamps)."""
    table: dict[str, list[float]] = {}
    for line, fields in rows(path):
        if len(fields) != 2:
            raise FormatError(f"line {line} has {len(fields)} fields, not video,timestamp", file=path)
        table.setdefault(fields[0], []).append(numbers(fields[1:], path, line)[0])
    return table


def read_ground_truth(
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float | None = None,
    excluded: Mapping[str, Sequence[float]] | None = None,
    dataset: str = "ava",
) -> Reading[Annotations]:
    """Return the boxes of a ground-truth csv; evaluated frames are the labelled ones not excluded.

    path: rows of 7 or 8 fields (the eighth is the person), or of 2 (a key frame without boxes); a
        header is left out
    actions: names by id; rows of other ids are dropped and counted, as the official evaluation does
    sizes: width and height by video; 1 x 1 without them
    fps: numbers a second to count frames by, where no second is rounded by it
    excluded: seconds by video that evaluation leaves out
    raises: MissingFileError, FormatError, NotFiniteError with file and line
    """
    tally = Tally()
    table, persons = _read(path, tally)
    tally.note("rows without a person id", "", 0 if persons else len(table.time))
    known, solid = _known(table, actions, tally), _solid(table, tally)
    index = {number: i for i, number in enumerate(actions)}
    fps = _rate(table, fps)
    videos = {}
    for name, mine in _groups(table).items():
        rows_kept, lost = mine[(known & solid)[mine]], mine[(known & ~solid)[mine]]
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
            flat=_flat(table, lost, index, fps, np.ones(len(lost))),
        )
    return Reading(_checked(Annotations, path, dataset, tuple(actions.values()), videos), tally.sentences())


def write_ground_truth(
    annotations: Annotations, path: str | PathLike[str], actions: Mapping[int, str]
) -> Path:
    """Write boxes as rows of 8 fields (7 where no person is known), key frames without boxes as 2.

    Tubes are written frame by frame, each a person, at the seconds of the frames.
    raises: FormatError where a video has segments alone, or tubes and no rate
    """
    classes = annotations.classes
    videos = {name: _as_frames(name, video, classes) for name, video in annotations.videos.items()}
    known = any(video.frames is not None and video.frames.person is not None for video in videos.values())
    lines = []
    for name, video in videos.items():
        if video.frames is None:
            continue
        fps, boxes = video.fps or 1.0, video.frames
        person = np.full(len(boxes), -1) if boxes.person is None else boxes.person
        extra = [str(one) for one in person] if known else None
        size = (video.width or 1, video.height or 1)
        lines += _lines(name, boxes, classes, actions, size, video.seconds(boxes.frame, fps), extra)
        if video.flat is not None:
            flat = _without_area(video.flat)
            extra = ["-1"] * len(flat) if known else None
            lines += _lines(name, flat, classes, actions, size, video.seconds(flat.frame, fps), extra)
        if video.evaluated_frames is not None:
            shown = boxes.frame if video.flat is None else np.append(boxes.frame, video.flat[:, 0])
            bare = video.seconds(np.setdiff1d(video.evaluated_frames, shown).astype(np.int64), fps)
            lines += [f"{_field(name)},{_stamp(second)}\n" for second in bare.tolist()]
    return write_text(path, "".join(lines))


def _as_frames(name: str, video: Any, classes: Sequence[str]) -> Any:
    """The same video with the boxes of its tubes on single frames."""
    if video.frames is not None and len(video.frames):
        return video
    if not video.tubes:
        if video.segments:
            problem = "the video has segments and no boxes, which this format cannot hold"
            raise FormatError(problem, video=name, remedy="choose another format, such as activitynet")
        return video
    if not video.fps and getattr(video, "times", None) is None:
        raise FormatError("the video has no rate to tell seconds by", video=name, remedy="give its fps")
    lengths = [len(tube) for tube in video.tubes]
    scored = isinstance(video, VideoPredictions)
    scores = [np.full(len(t), t.score) if t.box_scores is None else t.box_scores for t in video.tubes]
    boxes = FrameBoxes(
        np.concatenate([tube.frames for tube in video.tubes]),
        np.repeat([list(classes).index(tube.label) for tube in video.tubes], lengths),
        np.concatenate([tube.boxes for tube in video.tubes]),
        score=np.concatenate(scores) if scored else None,
        person=None if scored else np.repeat(np.arange(len(lengths)), lengths),
    )
    return replace(video, frames=boxes)


def read_results(
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float | None = None,
) -> Reading[Predictions]:
    """Return the boxes of a results csv: rows of 8 fields, the eighth the score.

    actions, sizes, fps: as in ``read_ground_truth``
    raises: MissingFileError, FormatError, NotFiniteError with file and line
    """
    tally = Tally()
    table, scored = _read(path, tally)
    if len(table.time) and not scored:
        raise FormatError("the rows have no score", file=path, remedy="the eighth field is the score")
    known, solid = _known(table, actions, tally), _solid(table, tally)
    index, fps = {number: i for i, number in enumerate(actions)}, _rate(table, fps)
    videos = {}
    for name, mine in _groups(table).items():
        lost = mine[(known & ~solid)[mine]]
        mine = mine[(known & solid)[mine]]
        width, height = (sizes or {}).get(name, (1, 1))
        labels = np.array([index[int(number)] for number in table.action[mine]])
        scale = [width, height, width, height]
        boxes = FrameBoxes(
            _frames(table.time[mine], fps), labels, table.box[mine] * scale, score=table.extra[mine]
        )
        flat = _flat(table, lost, index, fps, table.extra[lost])
        videos[name] = VideoPredictions(frames=boxes, fps=fps, flat=flat)
    return Reading(_checked(Predictions, path, tuple(actions.values()), videos), tally.sentences())


def write_results(
    predictions: Predictions,
    path: str | PathLike[str],
    actions: Mapping[int, str],
    sizes: Sizes | None = None,
    fps: float | None = None,
) -> Path:
    """Write boxes as rows ``video,timestamp,x1,y1,x2,y2,action,score``; tubes without them frame by frame.

    fps: numbers a second of frames, of videos that do not say
    raises: FormatError where a video has segments alone, or tubes and no rate
    """
    lines = []
    for name, video in predictions.videos.items():
        video = _as_frames(name, replace(video, fps=video.fps or fps), predictions.classes)
        if video.frames is not None and video.frames.score is not None:
            size = (sizes or {}).get(name, (1, 1))
            scores = [repr(float(score)) for score in video.frames.score]
            seconds = video.frames.frame / (video.fps or 1.0)
            lines += _lines(name, video.frames, predictions.classes, actions, size, seconds, scores)
        if video.flat is not None:
            flat, scores = _without_area(video.flat), [repr(score) for score in video.flat[:, 2].tolist()]
            seconds = flat.frame / (video.fps or 1.0)
            lines += _lines(name, flat, predictions.classes, actions, (1, 1), seconds, scores)
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


def _without_area(rows: np.ndarray) -> FrameBoxes:
    """Boxes of a record's ``flat`` rows, all sides 0; made unchecked, since they are none."""
    frame, label = rows[:, :2].astype(np.int64).T
    return trusted(
        FrameBoxes, frame=frame, label=label, box=np.zeros((len(rows), 4)), score=None, person=None
    )


def _known(table: _Table, actions: Mapping[int, str], tally: Tally) -> np.ndarray:
    known = np.isin(table.action, list(actions))
    for number in np.unique(table.action[~known]):
        what = "rows of actions that are not in the list, dropped"
        tally.note(what, f"action {number:g}", int((table.action == number).sum()))
    return known


def _solid(table: _Table, tally: Tally) -> np.ndarray:
    solid: np.ndarray = np.all(table.box[:, 2:] > table.box[:, :2], axis=1)
    for name in table.video[~solid]:
        tally.note("boxes without area, kept apart", str(name))
    return solid


def _flat(
    table: _Table, rows: np.ndarray, index: Mapping[int, int], fps: float, score: np.ndarray
) -> np.ndarray | None:
    """Rows of boxes without area as a record keeps them; None where there are none."""
    labels = [index[int(number)] for number in table.action[rows]]
    return np.column_stack([_frames(table.time[rows], fps), labels, score]) if len(rows) else None


def _groups(table: _Table) -> dict[str, np.ndarray]:
    """Row numbers by video, in the file's order within a video; videos sorted by name."""
    order = np.argsort(table.video, kind="stable")
    names, starts = np.unique(table.video[order], return_index=True)
    groups = dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True)) if len(names) else {}
    none = np.zeros(0, dtype=int)
    return {name: groups.get(name, none) for name in sorted({*groups, *table.empty})}


def _rate(table: _Table, fps: float | None) -> float:
    """Numbers a second by which every time stamp is a whole number (a rate's own within 2 ms)."""
    stamps = np.unique(np.concatenate([table.time, *map(np.asarray, table.empty.values())]))
    for rate in (fps, 1.0):
        if rate is not None:
            frames = np.rint(stamps * rate)
            off = np.abs(stamps * rate - frames).max(initial=0.0)
            if off <= max(1e-6, min(0.002 * (rate - 1), 0.25)) and len(np.unique(frames)) == len(stamps):
                return rate
    return MILLIONTHS


def _frames(seconds: np.ndarray, fps: float) -> np.ndarray:
    return np.rint(np.asarray(seconds, dtype=np.float64) * fps).astype(np.int64)


def _field(name: str) -> str:
    """A name as a csv holds it."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="").writerow([name])
    return sink.getvalue()


def _stamp(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole:04d}" if abs(seconds - whole) < 5e-7 else f"{seconds:.6f}".rstrip("0")


def _lines(
    name: str,
    boxes: FrameBoxes,
    classes: Sequence[str],
    actions: Mapping[int, str],
    size: tuple[int, int],
    seconds: np.ndarray,
    extra: list[str] | None,
) -> list[str]:
    cell(f"{name}," if name in _HEADS else name)
    ids = {label: number for number, label in actions.items()}
    unknown = next((label for label in classes if label not in ids), None)
    if unknown is not None:
        raise UnknownLabelError(f"class {unknown!r} is not in the list of actions", video=name)
    shares = (boxes.box / [*size, *size]).tolist()
    lines = []
    for i, (second, label) in enumerate(zip(seconds.tolist(), boxes.label.tolist(), strict=True)):
        corners = ",".join(repr(share) for share in shares[i])
        tail = "" if extra is None else f",{extra[i]}"
        lines.append(f"{_field(name)},{_stamp(second)},{corners},{ids[classes[label]]}{tail}\n")
    return lines


def _checked(kind: Any, path: str | PathLike[str], *content: object) -> Any:
    try:
        return kind(*content)
    except StadError as error:
        raise error.at(file=path) from None
