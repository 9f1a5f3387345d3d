"""The pickles of the tubelet detectors (ACT, MOC and their kin): ground truth, tubes, frame boxes.

Frames count from 1 there and from 0 here. Boxes are x1, y1, x2, y2; whether x2 and y2 are the last
pixel (tight boxes of masks) or the edge beyond it (network output) depends on who wrote the file, so
numbers are kept unless ``inclusive`` is set. That their evaluators add a pixel to every width is a
matter of the metric's convention, not of the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import unpickle
from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownVideoError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.files import atomic_write, write_folder
from stad_lite.records.types import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube, frames_between, interpolate

_KEYS = ("labels", "gttubes", "nframes", "train_videos", "test_videos", "resolution")

_FLAT = "boxes without area, dropped"
_FILLED = "tubes with missing frames, filled by linear interpolation"


def read_ground_truth(
    path: str | PathLike[str], dataset: str = "act", inclusive: bool = False, fps: float | None = None
) -> Reading[Annotations]:
    """Return the annotations of a ``*-GT.pkl``.

    path: pickle of {labels, gttubes: {video: {label: [(n, 5) frame x1 y1 x2 y2]}}, nframes,
        train_videos, test_videos, resolution: {video: (height, width)}}
    inclusive: x2 and y2 are the last pixel, one is added to make the box half-open
    fps: frames a second, where known
    raises: MissingFileError, TruncatedFileError, UnsafePickleError, FormatError and what ``records``
        raises
    """
    table = _table(path)
    classes = tuple(str(name) for name in table["labels"])
    tally, videos = Tally(), {}
    for name, labelled in table["gttubes"].items():
        try:
            height, width = (int(size) for size in table["resolution"][name])
            num_frames = int(table["nframes"][name])
            tubes = []
            for label, group in labelled.items():
                for rows in group:
                    tubes.append(_tube(rows, classes[int(label)], inclusive, tally, str(name)))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, StadError):
                raise error.at(file=path, video=str(name)) from None
            raise FormatError(f"the entry is garbled ({error!r})", file=path, video=str(name)) from None
        duration = None if fps is None else num_frames / fps
        videos[str(name)] = VideoAnnotation(num_frames, width, height, fps, duration, tubes=tuple(tubes))
    return Reading(_checked(Annotations, path, dataset, classes, videos), tally.sentences())


def write_ground_truth(
    annotations: Annotations,
    path: str | PathLike[str],
    train: Sequence[Sequence[str]] = (),
    test: Sequence[Sequence[str]] = (),
    inclusive: bool = False,
) -> Path:
    """Write tubes as a ``*-GT.pkl``; without lists, every video is a test video of one split.

    train, test: one list of video ids a split
    inclusive: write the last pixel as x2 and y2
    raises: FormatError where a video's frame count or size is unknown
    """
    index = {name: i for i, name in enumerate(annotations.classes)}
    table: dict[str, Any] = {key: {} for key in _KEYS}
    table["labels"] = list(annotations.classes)
    table["train_videos"] = [list(names) for names in train] or [[]]
    table["test_videos"] = [list(names) for names in test] or [list(annotations.videos)]
    for name, video in annotations.videos.items():
        if video.num_frames is None or video.width is None or video.height is None:
            raise FormatError("frame count or size is unknown", video=name, remedy="this format needs both")
        table["nframes"][name] = video.num_frames
        table["resolution"][name] = (video.height, video.width)
        labelled: dict[int, list[np.ndarray]] = {}
        for tube in video.tubes or ():
            rows = np.column_stack([tube.frames + 1, tube.boxes - [0, 0, inclusive, inclusive]])
            labelled.setdefault(index[tube.label], []).append(rows.astype(np.float32))
        table["gttubes"][name] = labelled
    return _write(table, path)


def read_tubes(
    folder: str | PathLike[str], classes: Sequence[str], inclusive: bool = False
) -> Reading[Predictions]:
    """Return the tubes of a folder of ``<video>_tubes.pkl``.

    folder: each file holds {label: [(rows, score)]}, rows (n, 6) frame x1 y1 x2 y2 score
    classes: names by label index
    raises: MissingFileError where the folder has no such file, FormatError and what ``unpickle`` raises
    """
    folder, tally, videos = Path(folder), Tally(), {}
    files = sorted(folder.rglob("*_tubes.pkl"))
    if not files:
        raise MissingFileError(
            "no file ends in _tubes.pkl", file=folder, remedy="name the folder of the built tubes"
        )
    for file in files:
        video = file.relative_to(folder).as_posix().removesuffix("_tubes.pkl")
        tubes = []
        try:
            for label, group in unpickle.load(file, encoding="latin1").items():
                for rows, score in group:
                    tube = _scored(rows, float(score), classes[int(label)], inclusive, tally, video)
                    tubes += [] if tube is None else [tube]
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, StadError):
                raise error.at(file=file, video=video) from None
            raise FormatError(f"the tubes are garbled ({error!r})", file=file, video=video) from None
        videos[video] = VideoPredictions(tubes=tuple(tubes))
    return Reading(_checked(Predictions, folder, tuple(classes), videos), tally.sentences())


def write_tubes(predictions: Predictions, folder: str | PathLike[str], inclusive: bool = False) -> list[Path]:
    """Write a new folder of one ``<video>_tubes.pkl`` a video, whole or not at all.

    A box without a score of its own gets the tube's.
    raises: FormatError where the folder holds something, and for an id that leads out of it
    """
    return write_folder(folder, _tube_files(predictions, inclusive))


def _tube_files(predictions: Predictions, inclusive: bool) -> Iterator[tuple[str, bytes]]:
    index = {name: i for i, name in enumerate(predictions.classes)}
    for name, video in predictions.videos.items():
        table: dict[int, list[Any]] = {i: [] for i in index.values()}
        for tube in video.tubes or ():
            boxes = tube.boxes - [0, 0, inclusive, inclusive]
            scores = np.full(len(tube), tube.score) if tube.box_scores is None else tube.box_scores
            rows = np.column_stack([tube.frames + 1, boxes, scores]).astype(np.float32)
            table[index[tube.label]].append([rows, tube.score])
        yield f"{name}_tubes.pkl", _dumped(table)


def read_frame_detections(
    path: str | PathLike[str], classes: Sequence[str], videos: Sequence[str], inclusive: bool = False
) -> Reading[Predictions]:
    """Return the boxes of a ``frame_detections.pkl``.

    path: pickle of (n, 8) rows video index, frame, label index, score, x1, y1, x2, y2
    classes: names by label index
    videos: ids by video index: the test list that the detector ran over
    raises: FormatError, UnknownVideoError and what ``unpickle`` raises
    """
    table = np.asarray(unpickle.load(path, encoding="latin1"))
    if table.dtype.kind not in "if" or table.ndim != 2 or table.shape[1] != 8:
        raise FormatError(f"the pickle holds {table.dtype} of shape {table.shape}, not (n, 8)", file=path)
    if len(table) and not 0 <= table[:, 0].min() <= table[:, 0].max() < len(videos):
        raise UnknownVideoError(
            f"video indices reach {int(table[:, 0].max())}, the list has {len(videos)} videos", file=path
        )
    tally, result = Tally(), {}
    table = table[np.argsort(table[:, 0], kind="stable")].astype(np.float64)
    bounds = np.searchsorted(table[:, 0], np.arange(len(videos) + 1))
    for i, name in enumerate(videos):
        rows = table[bounds[i] : bounds[i + 1]]
        boxes = rows[:, 4:] + [0, 0, inclusive, inclusive]
        solid = (boxes[:, 2:] > boxes[:, :2]).all(1) | ~np.isfinite(boxes).all(1)
        tally.note(_FLAT, name, int((~solid).sum()))
        try:
            frames = FrameBoxes(rows[solid, 1] - 1, rows[solid, 2].astype(int), boxes[solid], rows[solid, 3])
        except StadError as error:
            raise error.at(file=path, video=name) from None
        result[name] = VideoPredictions(frames=frames)
    return Reading(_checked(Predictions, path, tuple(classes), result), tally.sentences())


def write_frame_detections(
    predictions: Predictions, path: str | PathLike[str], videos: Sequence[str], inclusive: bool = False
) -> Path:
    """Write ``frame_detections.pkl``; ``videos`` gives the order that the rows' indices refer to."""
    parts = [np.zeros((0, 8))]
    for i, name in enumerate(videos):
        found = predictions.videos.get(name)
        if found is not None and found.frames is not None and found.frames.score is not None:
            boxes = found.frames
            corners = boxes.box - [0, 0, inclusive, inclusive]
            index = np.full(len(boxes), i)
            columns = [index, boxes.frame + 1, boxes.label, np.asarray(boxes.score), corners]
            parts.append(np.column_stack(columns))
    return _write(np.concatenate(parts).astype(np.float32), path)


def _table(path: str | PathLike[str]) -> Mapping[str, Any]:
    table = unpickle.load(path, encoding="latin1")
    if not isinstance(table, Mapping) or not set(_KEYS) <= set(table):
        raise FormatError(
            "the pickle is not a ground-truth cache", file=path, remedy=f"it needs {', '.join(_KEYS)}"
        )
    return table


def _tube(rows: Any, label: str, inclusive: bool, tally: Tally, video: str) -> Tube:
    start, boxes, _ = _rows(np.asarray(rows), inclusive, tally, video)
    return Tube(start, boxes, label)


def _scored(rows: Any, score: float, label: str, inclusive: bool, tally: Tally, video: str) -> Tube | None:
    rows = np.asarray(rows)
    start, boxes, scores = _rows(rows, inclusive, tally, video)
    if np.isfinite(boxes).all() and not (boxes[:, 2:] > boxes[:, :2]).all():
        tally.note("tubes with a box without area, dropped", video)
        return None
    return Tube(start, boxes, label, score, scores)


def _rows(
    rows: np.ndarray, inclusive: bool, tally: Tally, video: str
) -> tuple[int, np.ndarray, np.ndarray | None]:
    """Rows frame x1 y1 x2 y2 [score] as (start, boxes, scores)."""
    if rows.ndim != 2 or rows.shape[1] not in (5, 6) or rows.dtype.kind not in "iuf" or not len(rows):
        raise FormatError(f"a tube is {rows.dtype} of shape {rows.shape}, not (n, 5) or (n, 6)")
    rows = rows.astype(np.float64)
    frames = rows[:, 0] - 1
    if (np.diff(frames) <= 0).any():
        raise FormatError("a tube's frames do not rise", remedy="sort its rows by frame")
    values = rows[:, 1:] + [0, 0, inclusive, inclusive, 0][: rows.shape[1] - 1]
    if len(frames) != frames[-1] - frames[0] + 1:
        tally.note(_FILLED, video)
        values = interpolate(frames, values, frames_between(frames, 1000 * len(frames)))
    return int(frames[0]), values[:, :4], values[:, 4] if rows.shape[1] == 6 else None


def _checked(kind: Any, path: str | PathLike[str], *content: Any) -> Any:
    try:
        return kind(*content)
    except StadError as error:
        raise error.at(file=path) from None


def _dumped(content: Any) -> bytes:
    data = pickle.dumps(content, protocol=2)
    # The field's evaluators run on numpy 1, which knows the module under its old name only.
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def _write(content: Any, path: str | PathLike[str]) -> Path:
    data = _dumped(content)
    return atomic_write(path, lambda stream: stream.write(data))
