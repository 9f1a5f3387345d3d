"""The MATLAB files of online tube building (Singh et al.): detected tubes and per-frame outputs.

Frames and pixels count from 1 there and boxes are x, y, w, h; here both count from 0 and boxes are
xyxy. The annotations of this family, ``finalAnnots.mat``, are read by ``stad_lite.data.ucf101_24``.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import matlab
from stad_lite.boxes import xywh_to_xyxy, xyxy_to_xywh
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.files import atomic_write
from stad_lite.records.types import FrameBoxes, Predictions, VideoPredictions
from stad_lite.tubes import Tube, frames_between, interpolate


def read_tubes(
    path: str | PathLike[str], classes: Sequence[str], variable: str = "xmldata"
) -> Reading[Predictions]:
    """Return the tubes of a MATLAB v5 file with the structure array ``xmldata``.

    Fields: videoName, class (1-based), score, framenr(i).fnr, boxes(i).bxs (n, 4) x y w h.

    classes: names by class number
    variable: the structure's name in the file
    raises: MissingFileError, FormatError and what ``records`` raises, with file, video and tube
    """
    content = _load(path)
    if variable not in content:
        found = sorted(key for key in content if not key.startswith("__"))
        raise FormatError(f"there is no variable {variable}", file=path, remedy=f"the file has {found}")
    tally, videos = Tally(), {}
    for entry in np.atleast_1d(content[variable]):
        name = str(getattr(entry, "videoName", "?"))
        try:
            videos[name] = VideoPredictions(tubes=tuple(_tubes(entry, classes, name, tally)))
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, StadError):
                raise error.at(file=path, video=name) from None
            raise FormatError(f"the entry is garbled ({error})", file=path, video=name) from None
    try:
        return Reading(Predictions(tuple(classes), videos), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


def write_tubes(predictions: Predictions, path: str | PathLike[str], variable: str = "xmldata") -> Path:
    """Write tubes as that structure array (MATLAB v5)."""
    from scipy.io import savemat

    number = {name: i + 1 for i, name in enumerate(predictions.classes)}
    entries = np.zeros(
        len(predictions.videos),
        dtype=[(key, object) for key in ("videoName", "score", "nr", "class", "framenr", "boxes")],
    )
    for i, (name, video) in enumerate(predictions.videos.items()):
        tubes = video.tubes or ()
        frames, boxes = (np.zeros(len(tubes), dtype=[(key, object)]) for key in ("fnr", "bxs"))
        for j, tube in enumerate(tubes):
            frames[j] = (tube.frames + 1.0,)
            boxes[j] = (xyxy_to_xywh(tube.boxes) + [1, 1, 0, 0],)
        scores, labels = [tube.score for tube in tubes], [number[tube.label] for tube in tubes]
        entries[i] = (name, np.array(scores), np.arange(1.0, len(tubes) + 1), np.array(labels), frames, boxes)
    content = BytesIO()
    savemat(content, {variable: entries}, do_compression=True)  # type: ignore[arg-type]
    return atomic_write(path, lambda stream: stream.write(content.getvalue()))


def read_frames(
    folder: str | PathLike[str],
    classes: Sequence[str],
    width: int = 320,
    height: int = 240,
    min_score: float = 0.01,
    background: bool = True,
) -> Reading[Predictions]:
    """Return the boxes of a folder ``<video>/<frame>.mat`` with ``scores`` (n, classes) and ``loc`` (n, 4).

    classes: names by column of ``scores``
    width, height: pixels; ``loc`` is xyxy as shares of the frame, clipped to it
    min_score: boxes below are left out
    background: the first column of ``scores`` is the background's
    raises: MissingFileError where there is no such file, FormatError
    """
    folder, tally = Path(folder), Tally()
    files = sorted(folder.rglob("*.mat"))
    if not files:
        raise MissingFileError("there is no .mat file", file=folder, remedy="expected <video>/<frame>.mat")
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for file in files:
        if not file.stem.isdigit():
            tally.note("files whose name is no frame number, left out", file.name)
            continue
        content = _load(file)
        scores, boxes = _columns(content, file, len(classes) + background)
        boxes = (boxes.clip(0, 1)) * [width, height, width, height]
        row, label = np.nonzero(scores[:, int(background) :] >= min_score)
        solid = (boxes[row, 2:] > boxes[row, :2]).all(1)
        video = file.parent.relative_to(folder).as_posix()
        tally.note("boxes without area, dropped", video, int((~solid).sum()))
        row, label = row[solid], label[solid]
        frame = np.full(len(row), int(file.stem) - 1)
        parts.setdefault(video, []).append((frame, label, boxes[row], scores[row, label + int(background)]))
    videos = {
        video: VideoPredictions(frames=FrameBoxes(*(np.concatenate(c) for c in zip(*rows, strict=True))))
        for video, rows in parts.items()
    }
    return Reading(Predictions(tuple(classes), videos), tally.sentences())


def _columns(content: dict[str, Any], file: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    if "scores" not in content or "loc" not in content:
        raise FormatError("scores or loc is missing", file=file)
    boxes = np.asarray(content["loc"], dtype=np.float64).reshape(-1, 4)
    scores = np.asarray(content["scores"], dtype=np.float64)
    if scores.size != len(boxes) * width:
        raise FormatError(f"scores has shape {scores.shape}, not ({len(boxes)}, {width})", file=file)
    return scores.reshape(len(boxes), width), boxes


def _load(path: str | PathLike[str]) -> dict[str, Any]:
    return matlab.read(path, squeeze_me=True, struct_as_record=False)


def _tubes(entry: Any, classes: Sequence[str], name: str, tally: Tally) -> list[Tube]:
    labels = np.atleast_1d(getattr(entry, "class"))
    scores, runs, boxes = (np.atleast_1d(getattr(entry, key)) for key in ("score", "framenr", "boxes"))
    if not len(labels) == len(scores) == len(runs) == len(boxes):
        counts = f"{len(labels)} classes, {len(scores)} scores, {len(runs)} spans, {len(boxes)} box lists"
        raise FormatError(f"the fields disagree: {counts}")
    tubes = []
    for i, label in enumerate(labels):
        if not 1 <= label <= len(classes):
            raise FormatError(f"class {label} is not one of {len(classes)}", tube=i)
        frames = np.atleast_1d(runs[i].fnr).astype(np.float64) - 1
        rows = np.asarray(boxes[i].bxs, dtype=np.float64).reshape(-1, 4)
        if len(frames) != len(rows) or (np.diff(frames) <= 0).any():
            raise FormatError(
                f"{len(frames)} frames for {len(rows)} boxes, or frames that do not rise", tube=i
            )
        if not (rows[:, 2:] > 0).all():
            tally.note("tubes with a box without area, dropped", name)
            continue
        corners = xywh_to_xyxy(rows - [1, 1, 0, 0])
        if len(frames) != frames[-1] - frames[0] + 1:
            tally.note("tubes with missing frames, filled by linear interpolation", name)
            corners = interpolate(frames, corners, frames_between(frames, 1000 * len(frames)))
        try:
            tubes.append(Tube(int(frames[0]), corners, classes[int(label) - 1], float(scores[i])))
        except StadError as error:
            raise error.at(tube=i) from None
    return tubes
