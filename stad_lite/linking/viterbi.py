"""Viterbi linking: the best path through all frames of a video, again and again (Gkioxari and Malik).

For every class the boxes of the frames are the columns of a lattice. The path with the largest sum of
edges (the scores of two boxes and their overlap) becomes a tube, its boxes are removed, and the next
one is sought until some frame has no box left. It looks at the whole video, so it is no online method.

Source: Gkioxari and Malik, Finding Action Tubes, Section 4 (the linking that CFAD Section 2 speaks of).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.linking.build import Linked, class_names, finish, tubes_of_boxes
from stad_lite.linking.candidates import Candidates, Selection, candidates, widened
from stad_lite.linking.detections import Detections
from stad_lite.linking.trimming import Trim, asks_classes, trim_linked
from stad_lite.settings import AtLeastOne, Between, Share, Weight, check
from stad_lite.tubes import frames_between


@dataclass(frozen=True)
class ViterbiConfig:
    """Settings of Viterbi linking. The defaults are Gkioxari and Malik's with a bound on boxes and paths.

    An edge weighs s1 + s2 + overlap_weight * IoU + product_weight * s1 * s2.

    min_score: boxes need a score above it
    nms: overlap above which the lower-scored box of a frame and class goes; None for no suppression
    keep: best boxes of a frame and class in the lattice; None for all (slow: the square of it counts)
    overlap_weight, product_weight: see above
    empty: ``bridge`` joins the frames around a frame without boxes directly and interpolates between
        them; ``copy`` gives it the boxes of the nearest frame that has any, the earlier of two
    score: a tube's score is the ``mean`` of its boxes' scores or the path's ``energy`` a frame
    max_paths: paths of a class; None for as many as there are
    pixel: added to widths and heights in the edges' overlap
    tube_nms: overlap above which the lower-scored tube of a class goes; None for no suppression
    """

    min_score: Share = 0.01
    nms: Share | None = 0.45
    keep: AtLeastOne | None = 10
    overlap_weight: Weight = 1.0
    product_weight: Weight = 0.0
    empty: Literal["bridge", "copy"] = "bridge"
    score: Literal["mean", "energy"] = "mean"
    max_paths: AtLeastOne | None = None
    pixel: Annotated[float, Between(0, 16)] = 0.0
    tube_nms: Share | None = None

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def yowo(cls) -> ViterbiConfig:
        """Return the numbers of YOWO's released code (half a product in the edges, three paths a class)."""
        return cls(
            min_score=0.005, nms=0.4, keep=None, product_weight=0.5, empty="copy", max_paths=3, tube_nms=0.3
        )


def edges(
    boxes: np.ndarray,
    score: np.ndarray,
    more_boxes: np.ndarray,
    more_score: np.ndarray,
    config: ViterbiConfig,
) -> np.ndarray:
    """Return the weight of every pair of boxes on two neighbouring columns.

    boxes, more_boxes: (..., n, 4) and (..., m, 4) xyxy pixels
    score, more_score: (..., n) and (..., m)
    returns: (..., n, m)
    """
    one, other = score[..., :, None], more_score[..., None, :]
    overlap = box_ops.pairwise_iou(widened(boxes, config.pixel), widened(more_boxes, config.pixel))
    return one + other + config.overlap_weight * overlap + config.product_weight * (one * other)


def best_path(weights: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the path of largest weight through a lattice, by dynamic programming.

    Of paths with the same weight the one whose last box ranks first is taken, then the one whose last
    box but one does, and so on.

    weights: (columns - 1, ..., most, most)
    present: (columns, ..., most); a column without any gives a weight of minus infinity
    returns: (columns, ...) box of each column, (...) weight of the path

    >>> weights = np.array([[[1., 5.], [2., 0.]], [[1., 0.], [0., 3.]]])
    >>> path, weight = best_path(weights, np.ones((3, 2), dtype=bool))
    >>> path, float(weight)
    (array([0, 1, 1]), 8.0)
    """
    value, before = np.where(present[0], 0.0, -np.inf), []
    for column, weight in enumerate(weights, start=1):
        total = value[..., :, None] + weight
        before.append(total.argmax(axis=-2))
        value = np.where(present[column], total.max(axis=-2), -np.inf)
    path = [value.argmax(axis=-1)]
    for back in reversed(before):
        path.append(np.take_along_axis(back, path[-1][..., None], axis=-1)[..., 0])
    return np.stack(path[::-1]), value.max(axis=-1)


def link_viterbi(
    detections: Detections,
    config: ViterbiConfig | None = None,
    classes: Sequence[str] | None = None,
    trim: Trim | None = None,
) -> Linked:
    """Link all frames of a video by best paths.

    A path runs over the frames of the video that have boxes of its class (``bridge``), or from the
    first to the last frame with boxes of any class (``copy``).

    detections: boxes of single frames (``from_rows``, ``from_scores``), in any order
    classes: class names; None for "0", "1", ...
    trim: temporal trimming of the finished tubes
    raises: FormatError when the detections are tubelets
    """
    config = ViterbiConfig() if config is None else config
    names = class_names(classes, detections.num_classes)
    if detections.length != 1:
        raise FormatError(
            f"Viterbi linking takes boxes, not tubelets of {detections.length} frames",
            remedy="use link_tubelets",
        )
    found = list(candidates(detections, Selection(config.min_score, None, config.nms, config.keep)))
    paths: list[_Path] = []
    if found:
        paths = _paths(detections, _lattice(found, config.empty), config)
    linked = _tubes(detections, paths, config, names, asks_classes(trim))
    return trim_linked(finish(linked, names, None, config.tube_nms), trim, names)


@dataclass(frozen=True, eq=False)
class _Lattice:
    """The columns of every class; a class with fewer ends with columns without boxes.

    row: (columns, classes, most) rows of the detections, -1 where a column has fewer boxes
    frame: (columns, classes) the frame that a column stands on
    own: (columns, classes) False where the boxes are copied from another frame
    length: (classes,) columns of each class
    """

    row: np.ndarray
    frame: np.ndarray
    own: np.ndarray
    length: np.ndarray


@dataclass(frozen=True, eq=False)
class _Path:
    """One path: (m,) rows, their frames, whether they are no copies; the weight of its edges."""

    row: np.ndarray
    frame: np.ndarray
    own: np.ndarray
    weight: float


def _lattice(found: list[tuple[int, Candidates]], empty: str) -> _Lattice:
    frames = np.array([frame for frame, _ in found])
    most = max(offered.row.shape[1] for _, offered in found)
    row = np.full((len(found), len(found[0][1].row), most), -1)
    for column, (_, offered) in enumerate(found):
        row[column, :, : offered.row.shape[1]] = offered.row
    has = np.any(row >= 0, axis=2)
    if empty == "bridge":
        order = np.argsort(~has, axis=0, kind="stable")
        row = np.take_along_axis(row, order[:, :, None], axis=0)
        return _Lattice(row, frames[order], np.ones(has.shape, dtype=bool), has.sum(axis=0))
    span = frames_between(frames)
    index = np.zeros((len(span), has.shape[1]), dtype=np.int64)
    for label in range(has.shape[1]):
        index[:, label] = _nearest(frames, has[:, label], span)
    row = np.take_along_axis(row, index[:, :, None], axis=0)
    own = frames[index] == span[:, None]
    length = np.where(has.any(axis=0), len(span), 0)
    return _Lattice(row, np.broadcast_to(span[:, None], index.shape), own, length)


def _nearest(frames: np.ndarray, has: np.ndarray, span: np.ndarray) -> np.ndarray:
    """For each frame of the span, the index of the nearest frame that has boxes (the earlier of two)."""
    known = np.flatnonzero(has)
    if not len(known):
        return np.zeros(len(span), dtype=np.int64)
    after = np.clip(np.searchsorted(frames[known], span), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(span - frames[known[before]]) <= np.abs(frames[known[after]] - span)
    return known[np.where(nearer, before, after)]


def _weights(detections: Detections, lattice: _Lattice, config: ViterbiConfig) -> np.ndarray:
    """Edges (columns - 1, classes, most, most); zero into the columns after a class's last one."""
    columns, classes, most = lattice.row.shape
    weights = np.zeros((columns - 1, classes, most, most))
    boxes, score = detections.boxes[detections.source[lattice.row], 0], detections.score[lattice.row]
    for column in range(columns - 1):
        one, other = column, column + 1
        weights[column] = edges(boxes[one], score[one], boxes[other], score[other], config)
    weights[np.arange(1, columns)[:, None] >= lattice.length] = 0.0
    return weights


def _paths(detections: Detections, lattice: _Lattice, config: ViterbiConfig) -> list[_Path]:
    """All paths of all classes: the best one, then the best of what is left."""
    weights, present = _weights(detections, lattice, config), lattice.row >= 0
    beyond = np.arange(len(lattice.row))[:, None] >= lattice.length
    present[beyond, 0] = True  # a column after the last one has one box that costs nothing
    paths: list[_Path] = []
    rounds = present.shape[2] if config.max_paths is None else min(config.max_paths, present.shape[2])
    for _ in range(rounds):
        active = np.flatnonzero(present.any(axis=2).all(axis=0) & (lattice.length > 0))
        if not len(active):
            break
        these = slice(None) if len(active) == len(lattice.length) else active  # a view where it can be
        chosen, weight = best_path(weights[:, these], present[:, these])
        for index, label in enumerate(active):
            column, box = np.arange(lattice.length[label]), chosen[: lattice.length[label], index]
            present[column, label, box] = False
            row, own = lattice.row[column, label, box], lattice.own[column, label]
            paths.append(_Path(row, lattice.frame[column, label], own, float(weight[index])))
    return paths


def _tubes(
    detections: Detections, paths: list[_Path], config: ViterbiConfig, names: Sequence[str], asked: bool
) -> Linked:
    if not paths:
        return Linked(evidence=() if asked else None)
    row, frame = (np.concatenate([getattr(path, name) for path in paths]) for name in ("row", "frame"))
    bounds = np.append(0, np.cumsum([len(path.row) for path in paths]))
    linked = tubes_of_boxes(detections, row, frame, bounds, "linear", names, asked)
    members = tuple(detections.source[path.row[path.own]] for path in paths)
    if config.score == "mean":
        return replace(linked, members=members)
    scored = zip(linked.tubes, paths, strict=True)
    tubes = tuple(replace(tube, score=path.weight / len(path.row)) for tube, path in scored)
    return replace(linked, tubes=tubes, members=members)
