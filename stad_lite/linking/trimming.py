"""Where does the action begin and end in a tube? Label smoothness (Saha et al., ROAD), median filter (PCSC).

A trim cuts tubes into runs of frames. It may leave nothing of a tube or forget a short run; both are
counted in the result, and ``empty="keep"`` keeps a tube whole where nothing else would be left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.linking.build import Linked, finish
from stad_lite.settings import AtLeastOne, Share, Weight, check, conflict
from stad_lite.tubes import Tube


@dataclass(frozen=True)
class LabelSmoothing:
    """Trim by the labelling of a tube's frames with the most score and the fewest switches.

    alpha: price of a switch of labels between two frames
    labels: ``two`` decides between the tube's class and none, with scores s and 1 - s (Saha et al.);
        ``all`` between all classes (ROAD) and needs their scores as evidence
    min_run: frames that a run of the tube's class needs
    top_k: a run's score is the mean of this many of its best box scores; None for all
    rescore: whether a run is scored anew; if not, it keeps the score of its tube
    empty: what becomes of a tube without a run: ``drop`` or ``keep`` it whole

    Source: Saha et al., Deep Learning for Detecting Multiple Space-Time Action Tubes in Videos, Eq. 3;
    Singh et al., Section 3.4 (STEP Section 3.5 trims so too).
    """

    alpha: Weight = 3.0
    labels: Literal["two", "all"] = "two"
    min_run: AtLeastOne = 1
    top_k: AtLeastOne | None = None
    rescore: bool = True
    empty: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def road(cls) -> LabelSmoothing:
        """Return the numbers of ROAD's released code; its last frame less its first is above 8."""
        return cls(alpha=3.0, labels="all", min_run=10, top_k=40)


@dataclass(frozen=True)
class MedianFilter:
    """Trim by a threshold on median-filtered scores.

    width: frames that the filter sees, odd; beyond the ends the end scores hold
    threshold: frames whose filtered score is at least this stay
    keep: ``longest`` run (the earliest of equals), the ``best`` one, which holds the highest filtered
        score (the earliest of equals), or ``split`` the tube into all its runs
    min_run: frames that a run needs
    empty: what becomes of a tube without a run: ``drop`` or ``keep`` it whole
    top_k, rescore: as in ``LabelSmoothing``

    The paper gives neither width nor threshold, nor what becomes of several runs and of the score; all are
    our choice.
    Source: PCSC Section 3.4.
    """

    width: AtLeastOne = 17
    threshold: Share = 0.1
    keep: Literal["longest", "best", "split"] = "longest"
    min_run: AtLeastOne = 1
    empty: Literal["drop", "keep"] = "drop"
    top_k: AtLeastOne | None = None
    rescore: bool = True

    def __post_init__(self) -> None:
        check(self)
        if self.width % 2 == 0:
            raise conflict(self, "width", remedy="give an odd number of frames")


Trim = LabelSmoothing | MedianFilter


def asks_classes(trim: Trim | None) -> bool:
    """Tell whether a trim needs the scores of all classes."""
    return isinstance(trim, LabelSmoothing) and trim.labels == "all"


@dataclass(frozen=True, eq=False)
class Trimmed:
    """What is left of some tubes.

    tubes: the runs, tube after tube, with score and box scores cut accordingly
    source: for each, the index of the tube that it is a part of
    removed: tubes of which nothing is left
    short_runs: runs that were too short (or not the one to keep)
    kept_whole: tubes that would have been removed but for ``empty="keep"``
    """

    tubes: tuple[Tube, ...]
    source: tuple[int, ...]
    removed: int = 0
    short_runs: int = 0
    kept_whole: int = 0


def smooth_labels(scores: np.ndarray, alpha: float) -> np.ndarray:
    """Return the labelling of largest energy, by dynamic programming.

    Of labellings with the same energy the one that ends on the lowest label is taken; of those, the one
    whose last switch lies earliest, from the lowest label, and so on back in time.

    scores: (n, labels), or (tubes, n, labels) to do many at once
    alpha: price of a switch
    returns: (n,) or (tubes, n)
    raises: NotFiniteError

    >>> smooth_labels(np.array([[1., 0.], [0., .2], [1., 0.], [0., 1.], [0., 1.]]), alpha=.5)
    array([0, 0, 0, 1, 1])
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim == 2:
        return smooth_labels(scores[None], alpha)[0]
    if not np.isfinite(scores).all():
        raise NotFiniteError("a score to be labelled is not finite", remedy="remove it")
    tubes, length, count = scores.shape
    before = np.zeros((tubes, length, count), dtype=np.int64)
    # from 0 for every label: the first frame's costs no switch
    best, lines, stay = np.zeros((tubes, count)), np.arange(tubes), np.arange(count)
    for frame in range(length):
        top = best.argmax(axis=1)
        switched = best[lines, top, None] - alpha
        before[:, frame] = np.where(best >= switched, stay, top[:, None])
        best = np.maximum(best, switched) + scores[:, frame]
    labels = np.zeros((tubes, length), dtype=np.int64)
    current = best.argmax(axis=1) if count else np.zeros(tubes, dtype=np.int64)
    for frame in reversed(range(length)):
        labels[:, frame] = current
        current = before[lines, frame, current]
    return labels


def median_scores(scores: np.ndarray, width: int) -> np.ndarray:
    """Return the running median over ``width`` frames (n,); beyond the ends the end scores hold.

    >>> median_scores(np.array([.9, .1, .9, .9, 0., 0.]), width=3)
    array([0.9, 0.9, 0.9, 0.9, 0. , 0. ])
    """
    from scipy import ndimage

    return ndimage.median_filter(np.asarray(scores, dtype=np.float64), size=width, mode="nearest")


def runs(mask: np.ndarray) -> np.ndarray:
    """Return the [start, end) of every run of True: (runs, 2).

    >>> runs(np.array([False, True, True, False, True]))
    array([[1, 3],
           [4, 5]])
    """
    edges = np.diff(np.concatenate([[False], np.asarray(mask, dtype=bool), [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def cut(tube: Tube, start: int, end: int, top_k: int | None = None, rescore: bool = True) -> Tube:
    """Return the tube's boxes start to end (counted from its own first).

    top_k: the score is the mean of this many of the best box scores; None for all
    rescore: False leaves the tube's score, as do missing box scores
    """
    scores = None if tube.box_scores is None else tube.box_scores[start:end]
    score = tube.score
    if rescore and scores is not None:
        score = float(np.sort(scores)[::-1][:top_k].mean())
    return Tube(tube.start + start, tube.boxes[start:end], tube.label, score, scores)


def trim_tubes(
    tubes: Sequence[Tube],
    trim: Trim,
    evidence: Sequence[np.ndarray] | None = None,
    classes: Sequence[str] = (),
) -> Trimmed:
    """Trim tubes in time.

    evidence: for each tube the scores to trim by: (frames,) of its own class (PCSC's actionness), or
        (frames, classes) for ``LabelSmoothing(labels="all")``; None for the tubes' box scores
    classes: class names, where the evidence is of all classes
    raises: FormatError when the evidence is missing or has the wrong shape, NotFiniteError
    """
    scores = [_scores(tube, index, evidence) for index, tube in enumerate(tubes)]
    if isinstance(trim, MedianFilter):
        spans = [_median_spans(one, index, trim) for index, one in enumerate(scores)]
    else:
        spans = _label_spans(tubes, scores, trim, classes)
    pieces, source, removed, whole, short = [], [], 0, 0, 0
    for index, (tube, (kept, left_out)) in enumerate(zip(tubes, spans, strict=True)):
        short += left_out
        if not kept and trim.empty == "keep":
            kept, whole = [(0, len(tube))], whole + 1
        removed += not kept
        pieces += [cut(tube, start, end, trim.top_k, trim.rescore) for start, end in kept]
        source += [index] * len(kept)
    return Trimmed(tuple(pieces), tuple(source), removed, short, whole)


def _scores(tube: Tube, index: int, evidence: Sequence[np.ndarray] | None) -> np.ndarray:
    scores = tube.box_scores if evidence is None else np.asarray(evidence[index], dtype=np.float64)
    if scores is None:
        raise FormatError("the tube has no box scores to trim by", tube=index, remedy="give them as evidence")
    if len(scores) != len(tube):
        raise FormatError(f"{len(scores)} scores for {len(tube)} boxes", tube=index, remedy="give one a box")
    if not np.isfinite(scores).all():
        bad = ~np.isfinite(scores).reshape(len(tube), -1).all(axis=1)
        raise NotFiniteError("a score is not finite", tube=index, frame=tube.start + int(np.argmax(bad)))
    return scores


def _long(spans: np.ndarray, least: int) -> tuple[list[tuple[int, int]], int]:
    """The spans that are long enough, and how many are not."""
    kept = [(int(start), int(end)) for start, end in spans if end - start >= least]
    return kept, len(spans) - len(kept)


def _median_spans(scores: np.ndarray, index: int, trim: MedianFilter) -> tuple[list[tuple[int, int]], int]:
    if scores.ndim != 1:
        raise FormatError(f"the scores have shape {scores.shape}", tube=index, remedy="give one a frame")
    smooth = median_scores(scores, trim.width)
    # what is "lower than" the threshold goes (PCSC Sec. 3.4): a frame at it stays
    kept, short = _long(runs(smooth >= trim.threshold), trim.min_run)
    if trim.keep == "split" or not kept:
        return kept, short
    value = (
        (lambda span: span[1] - span[0])
        if trim.keep == "longest"
        else (lambda span: smooth[slice(*span)].max())
    )
    return [max(kept, key=value)], short + len(kept) - 1


def _label_spans(
    tubes: Sequence[Tube], scores: Sequence[np.ndarray], trim: LabelSmoothing, classes: Sequence[str]
) -> list[tuple[list[tuple[int, int]], int]]:
    """The spans of every tube; tubes are labelled together, shorter ones followed by frames without score."""
    if not tubes:
        return []
    dimensions = 2 if trim.labels == "all" else 1
    for index, (tube, one) in enumerate(zip(tubes, scores, strict=True)):
        if one.ndim != dimensions or (dimensions == 2 and one.shape[1] != len(classes)):
            needed = f"(frames, {len(classes)} classes)" if dimensions == 2 else "one score a frame"
            raise FormatError(
                f"the scores to label by have shape {one.shape}", tube=index, remedy=f"give {needed}"
            )
        if dimensions == 2 and tube.label not in classes:
            raise FormatError(f"label {tube.label!r} is not among the classes", tube=index)
    # frames without score reward no switch: a tube is labelled as if it stood alone
    table = np.zeros((len(tubes), max(map(len, tubes)), len(classes) if dimensions == 2 else 2))
    for line, one in zip(table, scores, strict=True):
        line[: len(one)] = one if dimensions == 2 else np.stack([1 - one, one], axis=1)
    labels = smooth_labels(table, trim.alpha)
    own = [list(classes).index(tube.label) if dimensions == 2 else 1 for tube in tubes]
    return [
        _long(runs(line[: len(tube)] == label), trim.min_run)
        for tube, line, label in zip(tubes, labels, own, strict=True)
    ]


def trim_linked(linked: Linked, trim: Trim | None, classes: Sequence[str]) -> Linked:
    """Return linked tubes after trimming, in their new order; the counts go to ``removed``.

    A run keeps the members of the whole path that it was cut from.
    """
    if trim is None:
        return linked
    evidence = (linked.evidence or ()) if asks_classes(trim) else None
    trimmed = trim_tubes(linked.tubes, trim, evidence, classes)
    counts = {
        "trimmed_away": trimmed.removed,
        "short_runs": trimmed.short_runs,
        "kept_whole": trimmed.kept_whole,
    }
    members = tuple(linked.members[index] for index in trimmed.source)
    pieces = Linked(trimmed.tubes, members, None, {**linked.removed, **counts})
    return finish(pieces, classes, None, None)
