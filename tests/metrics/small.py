"""Records of a few boxes, tubes and segments, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")
SIZE = {"num_frames": 20, "width": 100, "height": 100}
BOX = (10.0, 10.0, 20.0, 20.0)


def still(label: str, start: int, end: int, box: Sequence[float] = BOX, score: float | None = None) -> Tube:
    """A tube that does not move."""
    return Tube(start, np.array([box] * (end - start)), label, score)


def truth(classes: Sequence[str] = CLASSES, **videos: Any) -> Annotations:
    """Annotations of videos given as lists of tubes or segments, or as frame boxes."""
    return Annotations(
        "small", tuple(classes), {n: VideoAnnotation(**SIZE, **_kind(v)) for n, v in videos.items()}
    )


def predicted(classes: Sequence[str] = CLASSES, **videos: Any) -> Predictions:
    """Predictions of videos given the same way."""
    return Predictions(tuple(classes), {n: VideoPredictions(**_kind(v)) for n, v in videos.items()})


def boxes(*rows: tuple[int, int, Sequence[float]], scores: Sequence[float] | None = None) -> FrameBoxes:
    """Frame boxes of (frame, label, box)."""
    columns = [np.array([row[i] for row in rows]) for i in range(3)]
    return FrameBoxes(*columns, None if scores is None else np.array(scores))


def _kind(content: Any) -> dict[str, Any]:
    if isinstance(content, FrameBoxes):
        return {"frames": content}
    kind = "segments" if content and isinstance(content[0], Segment) else "tubes"
    return {kind: tuple(content)}
