"""Action tubes: one box a frame over a run of frames, their overlaps by name, suppression.

Two tool kits that both say "tube IoU" may mean different numbers; ``OVERLAPS`` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.arrays import column, number, same, whole
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    NotFiniteError,
    StadError,
    UnsignedBoxError,
)


@dataclass(frozen=True, eq=False)
class Tube:
    """One actor's boxes on consecutive frames.

    start: first frame, 0-based
    boxes: (n, 4) xyxy pixels, one for every frame from ``start`` on; n >= 1
    label: class name
    score: confidence of the whole tube, None for annotations
    box_scores: (n,) confidence of each box, or None
    raises: UnsignedBoxError, NotFiniteError, InvertedBoxError, FrameRangeError, FormatError

    >>> tube = Tube(start=8, boxes=np.array([[0, 0, 4, 4], [1, 0, 5, 4]]), label="Basketball")
    >>> tube.start, tube.end, len(tube)
    (8, 10, 2)
    """

    start: int
    boxes: np.ndarray
    label: str = ""
    score: float | None = None
    box_scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", whole(self.start, "start"))
        object.__setattr__(self, "boxes", checked_boxes(self.boxes, first_frame=self.start))
        if len(self.boxes) == 0:
            raise FormatError("the tube has no boxes", remedy="leave the tube out")
        if self.start < 0:
            raise FrameRangeError(
                f"the tube starts at frame {self.start}, before the video",
                frame=self.start,
                remedy="frames are counted from 0",
            )
        if self.score is not None:
            object.__setattr__(self, "score", number(self.score, "score"))
            if not np.isfinite(self.score):
                raise NotFiniteError(f"the tube's score is {self.score}", remedy="give a finite score")
        if self.box_scores is not None:
            scores = column(self.box_scores, "box_scores")
            if len(scores) != len(self.boxes):
                raise FormatError(
                    f"{len(scores)} box scores for {len(self.boxes)} boxes", remedy="give one score a box"
                )
            if not np.isfinite(scores).all():
                frame = self.start + int(np.argmin(np.isfinite(scores)))
                raise NotFiniteError(
                    "the box's score is not finite", frame=frame, remedy="give a finite score"
                )
            object.__setattr__(self, "box_scores", scores)

    def __len__(self) -> int:
        return len(self.boxes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tube):
            return NotImplemented
        return (
            (self.start, self.label, self.score) == (other.start, other.label, other.score)
            and np.array_equal(self.boxes, other.boxes)
            and same(self.box_scores, other.box_scores)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def end(self) -> int:
        """The first frame after the tube."""
        return self.start + len(self.boxes)

    @property
    def frames(self) -> np.ndarray:
        """(n,) frame numbers of the boxes."""
        return np.arange(self.start, self.end)


def cut_at(tube: Tube, end: int) -> Tube | None:
    """Return a tube without its boxes from frame ``end`` on; None where nothing is left.

    >>> cut_at(Tube(2, np.array([[0.0, 0, 4, 4]] * 3)), 4).end
    4
    """
    length = end - tube.start
    if length >= len(tube):
        return tube
    if length <= 0:
        return None
    scores = None if tube.box_scores is None else tube.box_scores[:length]
    return replace(tube, boxes=tube.boxes[:length], box_scores=scores)


def checked_boxes(boxes: np.ndarray, first_frame: int | None = None) -> np.ndarray:
    """Return boxes as (n, 4) float64 after checking them; errors name the first bad frame.

    boxes: (n, 4) xyxy pixels
    first_frame: frame of the first box, where the boxes are consecutive
    raises: FormatError, UnsignedBoxError, NotFiniteError, InvertedBoxError
    """
    try:
        boxes = np.asarray(boxes)
    except ValueError:
        raise FormatError("boxes are rows of different lengths", remedy="give (n, 4) numbers") from None
    if boxes.dtype == object or boxes.dtype.kind not in "iuf" or boxes.ndim != 2 or boxes.shape[1] != 4:
        if boxes.size:
            raise FormatError(
                f"boxes have type {boxes.dtype} and shape {boxes.shape}", remedy="give (n, 4) numbers"
            )
        boxes = np.zeros((0, 4))
    if boxes.dtype.kind == "u":
        raise UnsignedBoxError(
            f"boxes are {boxes.dtype}, in which a sum beyond {np.iinfo(boxes.dtype).max} wraps around",
            remedy="cast to float64 before adding width to x",
        )
    boxes = boxes.astype(np.float64)
    infinite = ~np.all(np.isfinite(boxes), axis=1)
    _refuse(infinite, boxes, first_frame, NotFiniteError, "is not finite", "remove it")
    inverted = np.any(boxes[:, 2:] <= boxes[:, :2], axis=1)
    remedy = "boxes are x1, y1, x2, y2 with x1 < x2 and y1 < y2"
    _refuse(inverted, boxes, first_frame, InvertedBoxError, "is empty or inverted", remedy)
    return boxes


def _refuse(
    bad: np.ndarray, boxes: np.ndarray, first_frame: int | None, kind: type[StadError], what: str, remedy: str
) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        frame = None if first_frame is None else first_frame + first
        raise kind(f"box {first} {boxes[first].tolist()} {what}", frame=frame, remedy=remedy)


def _common(a: Tube, b: Tube) -> tuple[np.ndarray, np.ndarray]:
    start, end = max(a.start, b.start), max(max(a.start, b.start), min(a.end, b.end))
    return a.boxes[start - a.start : end - a.start], b.boxes[start - b.start : end - b.start]


def mean_common(a: Tube, b: Tube) -> float:
    """Return the mean box IoU over the frames that both tubes have; 0 where they share none."""
    ours, theirs = _common(a, b)
    return float(box_ops.iou(ours, theirs).mean()) if len(ours) else 0.0


def temporal_iou(a: Tube, b: Tube) -> float:
    """Return the frames in common over the frames in the union."""
    shared = len(_common(a, b)[0])
    return shared / (len(a) + len(b) - shared)


def temporal_times_spatial(a: Tube, b: Tube) -> float:
    """Return temporal IoU x mean box IoU over the common frames: the field's usual tube IoU."""
    return temporal_iou(a, b) * mean_common(a, b)


def union_mean(a: Tube, b: Tube) -> float:
    """Return the mean box IoU over all frames of either tube, 0 where one has no box.

    The same number as ``temporal_times_spatial``, computed from its other definition.
    """
    ours, theirs = _common(a, b)
    return float(box_ops.iou(ours, theirs).sum()) / (len(a) + len(b) - len(ours))


def volume(a: Tube, b: Tube) -> float:
    """Return the shared volume over the union's volume: large boxes weigh more than small ones."""
    ours, theirs = _common(a, b)
    overlap = box_ops.iou(ours, theirs)
    total = box_ops.area(ours) + box_ops.area(theirs)
    shared = float((total * overlap / (1 + overlap)).sum())  # i = iou (a + b) / (1 + iou)
    union = float(box_ops.area(a.boxes).sum() + box_ops.area(b.boxes).sum()) - shared
    return shared / union if union > 0 else 0.0


OVERLAPS: dict[str, Callable[[Tube, Tube], float]] = {
    "mean_common": mean_common,
    "temporal_iou": temporal_iou,
    "temporal_times_spatial": temporal_times_spatial,
    "union_mean": union_mean,
    "volume": volume,
}
"""Every definition of the overlap of two tubes, by name."""


def tube_iou(a: Tube, b: Tube, kind: str = "temporal_times_spatial") -> float:
    """Return the overlap of two tubes under the named definition, in [0, 1].

    kind: a key of ``OVERLAPS``

    >>> a = Tube(0, np.array([[0., 0., 2., 2.]] * 4))
    >>> b = Tube(2, np.array([[1., 0., 3., 2.]] * 4))
    >>> {name: round(tube_iou(a, b, name), 3) for name in ("mean_common", "union_mean", "volume")}
    {'mean_common': 0.333, 'union_mean': 0.111, 'volume': 0.143}
    """
    if kind not in OVERLAPS:
        raise StadError(f"no tube overlap is called {kind!r}", remedy=f"choose from {', '.join(OVERLAPS)}")
    return OVERLAPS[kind](a, b)


LONGEST = 1_000_000
"""Frames of a tube that is filled in between its boxes: eleven hours of video."""


def frames_between(frames: np.ndarray, most: int = LONGEST) -> np.ndarray:
    """Return all frames from the first to the last of some rising ones.

    raises: FrameRangeError where they are more than ``most``

    >>> frames_between(np.array([3, 5]))
    array([3, 4, 5])
    """
    count = int(frames[-1]) - int(frames[0]) + 1
    if not 0 < count <= most:
        raise FrameRangeError(
            f"a tube of {len(frames)} boxes would have {count} frames",
            frame=int(frames[0]),
            remedy="correct the frame numbers",
        )
    return np.arange(int(frames[0]), int(frames[-1]) + 1)


def interpolate(frames: np.ndarray, boxes: np.ndarray, at: np.ndarray, kind: str = "linear") -> np.ndarray:
    """Return the boxes at other frames, between known ones; beyond the ends the end boxes hold.

    frames: (n,) rising frame numbers of the known boxes
    boxes: (n, 4) any linear box format
    at: (m,) frames wanted
    kind: ``linear``, or ``spline``: the cubic spline through all points (with 3 points the parabola,
        with 2 the line), which may overshoot
    returns: (m, 4)
    raises: FormatError where frames do not rise or do not match the boxes; StadError for an unknown kind

    >>> interpolate(np.array([0, 4]), np.array([[0., 0, 2, 2], [4., 0, 6, 2]]), np.array([1, 9]))[:, 0]
    array([1., 4.])
    """
    frames, boxes = np.asarray(frames, dtype=np.float64), np.asarray(boxes, dtype=np.float64)
    if not len(frames) or len(frames) != len(boxes) or not (np.diff(frames) > 0).all():
        raise FormatError(
            f"{len(boxes)} boxes at {len(frames)} frames that do not all rise",
            remedy="give every frame once, in rising order, with one box each",
        )
    at = np.clip(np.asarray(at, dtype=np.float64), frames[0], frames[-1])
    if len(frames) == 1:
        return np.repeat(boxes, len(at), axis=0)
    if kind == "linear":
        return np.stack([np.interp(at, frames, boxes[:, i]) for i in range(boxes.shape[1])], -1)
    if kind == "spline":
        from scipy.interpolate import CubicSpline

        return CubicSpline(frames, boxes)(at)
    raise StadError(f"no interpolation is called {kind!r}", remedy="choose linear or spline")
