"""What is to be seen on a frame: the boxes of a record, filtered, with their overlap with the truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import UnknownVideoError
from stad_lite.records import (
    Annotations,
    Predictions,
    VideoAnnotation,
    VideoPredictions,
    read,
)

KINDS = (Annotations, Predictions)

Record = Annotations | Predictions | str | PathLike[str]
"""A record, or the file that holds one."""

Video = VideoAnnotation | VideoPredictions


@dataclass(frozen=True, eq=False)
class Shown:
    """One box on one frame.

    label: class name
    box: (4,) xyxy pixels
    score: confidence, None for annotations
    overlap: best IoU with a box of the same class in the truth, None without truth
    """

    label: str
    box: np.ndarray
    score: float | None = None
    overlap: float | None = None

    @property
    def text(self) -> str:
        """Class, score and overlap, as far as known."""
        parts = [self.label]
        if self.score is not None:
            parts.append(f"{self.score:.2f}")
        if self.overlap is not None:
            parts.append(f"IoU {self.overlap:.2f}")
        return " ".join(part for part in parts if part)


def select(
    record: Record, video: str | None = None, file: str | PathLike[str] | None = None
) -> tuple[Video, tuple[str, ...]]:
    """Return one video of a record and the record's classes.

    video: its id, or the last part of the id; None where the record holds one video only
    file: the video's file, whose name decides where no id is given and the record holds several
    raises: UnknownVideoError, and what ``records.read`` raises
    """
    source = None if isinstance(record, Annotations | Predictions) else Path(record)
    known = record if isinstance(record, Annotations | Predictions) else read(record)
    names = list(known.videos)
    if video is None and file is not None and len(names) > 1:
        video = Path(file).stem
    found = [name for name in names if video is None or name == video]
    found = found or [name for name in names if name.rsplit("/", 1)[-1] == video]
    if len(found) != 1:
        problem = "the record does not hold it" if not found else f"{len(found)} videos fit"
        remedy = f"name one of its {len(names)} videos" + (f", such as {names[0]}" if names else "")
        raise UnknownVideoError(problem, file=source, video=video, remedy=remedy)
    return known.videos[found[0]], known.classes


def boxes_at(
    video: Video,
    classes: Collection[str],
    frame: int,
    only: Collection[str] | None = None,
    least: float = 0.0,
    truth: list[Shown] | None = None,
) -> list[Shown]:
    """Return the boxes of a video on one frame, from its tubes, and from its single frames what no tube has.

    classes: the record's, in order
    only: class names that are wanted, None for all
    least: smallest score; a tube's box has its own score, or the tube's. Annotations always pass
    truth: the true boxes on the frame, to measure the overlap with
    """
    found = []
    for tube in video.tubes or ():
        if tube.start <= frame < tube.end:
            place = frame - tube.start
            score = tube.score if tube.box_scores is None else float(tube.box_scores[place])
            found.append(Shown(tube.label, tube.boxes[place], score))
    if video.frames is not None:
        names, linked = list(classes), list(found)
        for row in np.flatnonzero(video.frames.frame == frame):
            score = None if video.frames.score is None else float(video.frames.score[row])
            box, label = video.frames.box[row], names[int(video.frames.label[row])]
            if not any(label == one.label and np.allclose(box, one.box, atol=0.01) for one in linked):
                found.append(Shown(label, box, score))
    found = [
        one
        for one in found
        if (only is None or one.label in only) and (one.score is None or one.score >= least)
    ]
    return found if truth is None else [_with_overlap(one, truth) for one in found]


def _with_overlap(one: Shown, truth: list[Shown]) -> Shown:
    rivals = [float(box_ops.iou(one.box, other.box)) for other in truth if other.label == one.label]
    return Shown(one.label, one.box, one.score, max(rivals, default=0.0))
