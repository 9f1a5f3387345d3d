"""What every linker reads: boxes (or tubelets) with class scores, checked, as columns.

Ties are decided by the boxes themselves, never by their place in the input: of two equal scores
the box further left ranks first, then the one further up, then smaller x2, then smaller y2 (a
tubelet by its first box, then its second, and so on).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stad_lite.errors import FormatError, FrameRangeError, NotFiniteError, StadError, UnknownLabelError
from stad_lite.tubes import checked_boxes


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes over ``length`` frames each, and one row for every pair of a box and a class.

    start: (n,) first frame of each box or tubelet, 0-based
    boxes: (n, length, 4) xyxy pixels
    label: (rows,) class index
    score: (rows,) confidence
    source: (rows,) which of the n boxes the row speaks of
    num_classes: number of classes
    """

    start: np.ndarray
    boxes: np.ndarray
    label: np.ndarray
    score: np.ndarray
    source: np.ndarray
    num_classes: int

    @property
    def length(self) -> int:
        """Frames that each box spans: 1 for frame detections."""
        return self.boxes.shape[1]

    @property
    def frame(self) -> np.ndarray:
        """(rows,) first frame of each row."""
        return self.start[self.source]

    def frame_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the first frame of some rows."""
        return self.start[self.source[rows]]


def from_rows(
    frame: np.ndarray, label: np.ndarray, box: np.ndarray, score: np.ndarray, num_classes: int
) -> Detections:
    """Return checked detections from columns, one row a box and class (``records.FrameBoxes``).

    frame: (n,) frame numbers in any order
    label: (n,) class indices below ``num_classes``
    box: (n, 4) xyxy pixels
    score: (n,)
    raises: FormatError, NotFiniteError, InvertedBoxError, FrameRangeError, UnknownLabelError

    >>> from_rows([3], [1], [[0., 0., 4., 4.]], [.9], num_classes=2).boxes.shape
    (1, 1, 4)
    """
    box, label = _numbers(box, "boxes"), _numbers(label, "labels")
    frame, boxes = _placed(frame, box[:, None] if len(box) else np.zeros((0, 1, 4)))
    score = _scores(_numbers(score, "scores"), frame, (len(frame),))
    if label.shape != frame.shape or (label.size and label.dtype.kind not in "iu"):
        raise FormatError(
            f"labels have type {label.dtype} and shape {label.shape} for {len(frame)} boxes",
            remedy="give one class index a row",
        )
    label = label.astype(np.int64)
    unknown = (label < 0) | (label >= num_classes)
    if unknown.any():
        first = int(np.argmax(unknown))
        raise UnknownLabelError(
            f"label {label[first]} is not among the {num_classes} classes", frame=int(frame[first])
        )
    return Detections(frame, boxes, label, score, np.arange(len(frame)), num_classes)


def from_scores(start: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> Detections:
    """Return checked detections from boxes that carry a score for every class.

    start: (n,) frame numbers in any order
    boxes: (n, 4) or, for tubelets, (n, length, 4) xyxy pixels
    scores: (n, classes)
    raises: FormatError, NotFiniteError, InvertedBoxError, FrameRangeError

    >>> from_scores([3, 4], np.array([[0., 0., 4., 4.]] * 2), np.array([[.9, .1], [.8, .2]])).label
    array([0, 1, 0, 1])
    """
    boxes, scores = _numbers(boxes, "boxes"), _numbers(scores, "scores")
    start, boxes = _placed(start, boxes[:, None] if boxes.ndim == 2 else boxes)
    if scores.ndim != 2:
        raise FormatError(f"scores have shape {scores.shape}", remedy="give (n, classes)")
    classes = scores.shape[1]
    scores = _scores(scores, start, (len(start), classes))
    label, source = np.tile(np.arange(classes), len(start)), np.repeat(np.arange(len(start)), classes)
    return Detections(start, boxes, label, scores.reshape(-1), source, classes)


def _numbers(values: np.ndarray, what: str) -> np.ndarray:
    """The values as an array, refused unless they are numbers of one shape."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise FormatError(f"the {what} are not of one shape", remedy="give a rectangular array") from None
    if array.size and array.dtype.kind not in "iuf":
        raise FormatError(f"the {what} have type {array.dtype}", remedy="give numbers")
    return array


def _placed(start: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checked first frames (n,) and boxes (n, length, 4)."""
    start = _numbers(start, "frame numbers").reshape(-1)
    if start.size and start.dtype.kind not in "iu":
        raise FormatError(f"frame numbers have type {start.dtype}", remedy="give integers")
    start = start.astype(np.int64)
    if boxes.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[1] == 0:
        raise FormatError(f"boxes have shape {boxes.shape}", remedy="give (n, 4), or (n, length, 4) tubelets")
    if len(boxes) != len(start):
        raise FormatError(f"{len(start)} frame numbers for {len(boxes)} boxes", remedy="give one a box")
    if (start < 0).any():
        raise FrameRangeError("a box lies before frame 0", frame=int(start.min()))
    try:
        flat = checked_boxes(boxes.reshape(-1, 4))
    except StadError as error:
        raise error.at(frame=_bad_frame(start, boxes)) from None
    return start, flat.reshape(len(start), boxes.shape[1], 4)


def _bad_frame(start: np.ndarray, boxes: np.ndarray) -> int | None:
    if boxes.dtype.kind == "u":
        return None
    frames = start[:, None] + np.arange(boxes.shape[1])
    infinite = ~np.isfinite(boxes).all(-1)
    wrong = infinite if infinite.any() else (boxes[..., 2:] <= boxes[..., :2]).any(-1)
    return int(frames[wrong][0])


def _scores(scores: np.ndarray, start: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    scores = scores.astype(np.float64)
    if scores.shape != shape:
        raise FormatError(f"scores have shape {scores.shape} for {len(start)} boxes", remedy=f"give {shape}")
    finite = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
    if not finite.all():
        first = int(start[np.argmin(finite)])
        raise NotFiniteError("a box's score is not finite", frame=first, remedy="remove the box")
    return scores


def ranked(group: np.ndarray, score: np.ndarray, boxes: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the order of rows by rising group, then falling score, then the boxes' coordinates.

    group: (rows,) integers
    score: (rows,)
    boxes: (n, length, 4)
    source: (rows,) which of the boxes the row speaks of
    returns: (rows,) indices; rows equal in everything keep their order

    >>> boxes = np.array([[[3., 0., 9., 9.]], [[1., 0., 9., 9.]]])
    >>> ranked(np.array([0, 0]), np.array([.5, .5]), boxes, np.array([0, 1]))
    array([1, 0])
    """
    order = np.argsort(-score)
    small = group.astype(np.min_scalar_type(int(group.max(initial=0))))  # 16 bits sort fastest
    order = order[np.argsort(small[order], kind="stable")]
    sorted_group, sorted_score = group[order], score[order]
    same = (sorted_group[1:] == sorted_group[:-1]) & (sorted_score[1:] == sorted_score[:-1])
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = np.sort(order[tied])
        keys = boxes[source[rows]].reshape(len(rows), -1).T[::-1]
        order[tied] = rows[np.lexsort((*keys, -score[rows], group[rows]))]
    return order


def class_scores(detections: Detections, wanted: np.ndarray) -> np.ndarray:
    """Return the scores that all classes give to some of the boxes; 0 where a class says nothing.

    Boxes with the same coordinates on the same frames are one box; where a class scores it twice,
    the higher score counts.

    wanted: (m,) indices into the n boxes
    returns: (m, classes)
    """
    keys = detections.boxes.reshape(len(detections.boxes), -1)
    order = np.lexsort((*keys.T[::-1], detections.start))
    keys = np.concatenate([keys, detections.start[:, None]], axis=1)[order]
    new = np.append(True, (keys[1:] != keys[:-1]).any(1))[: len(order)]
    box = np.empty(len(order), dtype=np.int64)
    box[order] = np.cumsum(new) - 1
    table = np.full((int(new.sum()), detections.num_classes), -np.inf)
    np.maximum.at(table, (box[detections.source], detections.label), detections.score)
    return np.where(np.isneginf(table), 0.0, table)[box[wanted]]
