"""From the boxes that were linked to tubes: holes filled, scores taken, weak and double tubes dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stad_lite.errors import FormatError, FrameRangeError
from stad_lite.linking.detections import Detections, class_scores
from stad_lite.tubes import LONGEST, Tube, tube_iou


@dataclass(frozen=True, eq=False)
class Linked:
    """The tubes of one video: by class, then falling score, then start.

    tubes: labelled and scored tubes
    members: for each tube, (m,) indices of the detections (boxes or tubelets) that it was built from
    evidence: for each tube, (frames, classes) scores of all classes, where they were asked for
    removed: how many linked paths became no tube, by reason (``short``, ``weak``, ``suppressed``, ...)
    """

    tubes: tuple[Tube, ...] = ()
    members: tuple[np.ndarray, ...] = ()
    evidence: tuple[np.ndarray, ...] | None = None
    removed: dict[str, int] = field(default_factory=dict)

    def subset(self, indices: Sequence[int], reason: str) -> Linked:
        """Return some of the tubes; the others are counted under ``reason``."""
        removed = {**self.removed, reason: self.removed.get(reason, 0) + len(self.tubes) - len(indices)}
        evidence = None if self.evidence is None else tuple(self.evidence[i] for i in indices)
        tubes, members = tuple(self.tubes[i] for i in indices), tuple(self.members[i] for i in indices)
        return Linked(tubes, members, evidence, removed)


def class_names(classes: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    """Return the class names, "0", "1", ... where none are given.

    raises: FormatError when there are fewer or more than classes
    """
    names = tuple(str(index) for index in range(num_classes)) if classes is None else tuple(classes)
    if len(names) != num_classes:
        raise FormatError(
            f"{len(names)} class names for {num_classes} classes", remedy="name each class once"
        )
    return names


def by_path(path: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Group what was linked by path.

    path: (m,) path of each link, in the order of frames
    least: links that a path needs
    returns: (kept,) indices of the links sorted by path, (tubes + 1,) bounds of the paths among them,
        number of paths that were too short

    >>> by_path(np.array([4, 7, 4]), least=2)
    (array([0, 2]), array([0, 2]), 1)
    """
    order = np.argsort(path, kind="stable")
    names, count = np.unique(path[order], return_counts=True)
    long = count >= least
    kept = order[np.repeat(long, count)]
    return kept, np.append(0, np.cumsum(count[long])), len(names) - int(long.sum())


def fill(frames: np.ndarray, values: np.ndarray, first: np.ndarray, kind: str) -> np.ndarray:
    """Return values on every frame of each path, from those on the frames where a box was found.

    frames: (m,) rising within a path
    values: (m, ...) of any kind
    first: (m,) True where a path begins
    kind: ``repeat`` gives a hole the values found next (ROAD), ``linear`` interpolates
    returns: (frames of all paths, ...)

    >>> fill(np.array([3, 5]), np.array([0., 1.]), np.array([True, False]), "linear")
    array([0. , 0.5, 1. ])
    >>> fill(np.array([3, 5]), np.array([0., 1.]), np.array([True, False]), "repeat")
    array([0., 1., 1.])
    """
    steps = holes(frames, first)
    index = np.repeat(np.arange(len(frames)), steps)
    if kind == "repeat":
        return values[index]
    position = np.arange(len(index)) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    weight = (position / steps[index]).reshape(-1, *[1] * (values.ndim - 1))
    before = np.where(first, np.arange(len(frames)), np.arange(len(frames)) - 1)[index]
    return values[before] * (1 - weight) + values[index] * weight


def holes(frames: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return how many frames each found box stands for: 1, plus the hole before it; (m,)."""
    steps = np.where(first, 1, np.diff(frames, prepend=0))
    if steps.sum() > LONGEST * max(1, int(first.sum())):
        raise FrameRangeError(
            f"tubes of {len(frames)} boxes would have {int(steps.sum())} frames",
            frame=int(frames[np.argmax(steps)]),
            remedy="correct the frame numbers",
        )
    return steps


def starts(bounds: np.ndarray) -> np.ndarray:
    """Return a mask (m,) that is True at every path's first link, from their bounds (tubes + 1,)."""
    first = np.zeros(int(bounds[-1]), dtype=bool)
    first[bounds[:-1]] = True
    return first


def tubes_of_boxes(
    detections: Detections,
    row: np.ndarray,
    frames: np.ndarray,
    bounds: np.ndarray,
    kind: str,
    classes: Sequence[str],
    asked: bool,
) -> Linked:
    """Return one tube a path, holes filled, scored by the mean of its boxes' scores.

    row: (m,) rows of the detections, path after path
    frames: (m,) the frame that each stands on, rising within a path
    bounds: (tubes + 1,) where each path begins among them
    kind: how holes are filled (``fill``)
    asked: whether the scores of all classes are wanted as evidence
    """
    source, first = detections.source[row], starts(bounds)
    boxes = fill(frames, detections.boxes[source, 0], first, kind)
    scores = fill(frames, detections.score[row], first, kind)
    every = fill(frames, class_scores(detections, source), first, kind) if asked else None
    ends = np.append(0, np.cumsum(holes(frames, first)))[bounds]
    begin = bounds[:-1]
    mean = np.add.reduceat(scores, ends[:-1]) / np.diff(ends) if len(begin) else np.zeros(0)
    start, label = frames[begin].tolist(), detections.label[row[begin]]
    tubes = tuple(
        Tube(start[index], boxes[first:last], classes[label[index]], float(mean[index]), scores[first:last])
        for index, (first, last) in enumerate(pairwise(ends))
    )
    members = tuple(source[first:last] for first, last in pairwise(bounds))
    evidence = None if every is None else tuple(every[first:last] for first, last in pairwise(ends))
    return Linked(tubes, members, evidence)


def finish(linked: Linked, classes: Sequence[str], weakest: float | None, overlap: float | None) -> Linked:
    """Return the tubes in their order, without weak ones and without those that a better one covers.

    weakest: a tube needs at least this score; None for any
    overlap: suppression threshold within a class (``tubes.tube_nms``); None for no suppression
    """
    tubes, place = linked.tubes, {name: index for index, name in enumerate(classes)}
    keys = [(place[tube.label], -(tube.score or 0.0), tube.start) for tube in tubes]
    order = sorted(range(len(tubes)), key=lambda index: keys[index])
    linked = linked.subset(order, "short")
    strong = [i for i, tube in enumerate(linked.tubes) if weakest is None or (tube.score or 0.0) >= weakest]
    linked = linked.subset(strong, "weak")
    if overlap is None:
        return linked.subset(range(len(linked.tubes)), "suppressed")
    return linked.subset(uncovered(linked.tubes, overlap), "suppressed")


def uncovered(tubes: Sequence[Tube], overlap: float) -> list[int]:
    """Return the tubes that no better one of their class covers: ``tubes.tube_nms`` class by class.

    tubes: best first within each class

    The overlap of two tubes is at most that of their frames, so most pairs need no look at the boxes.
    """
    start, end = np.array([(tube.start, tube.end) for tube in tubes], dtype=np.int64).reshape(-1, 2).T
    kept: list[int] = []
    rivals: dict[str, list[int]] = {}
    for index, tube in enumerate(tubes):
        better = np.array(rivals.setdefault(tube.label, []), dtype=np.int64)
        shared = np.minimum(end[better], tube.end) - np.maximum(start[better], tube.start)
        union = end[better] - start[better] + len(tube) - shared
        close = better[np.maximum(shared, 0) / union > overlap]
        if all(tube_iou(tube, tubes[other]) <= overlap for other in close):
            kept.append(index)
            rivals[tube.label].append(index)
    return kept
