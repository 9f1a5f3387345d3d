"""Tubelet linking: short tubes that start on every frame become long ones (Kalogeiton et al., ACT).

A tubelet spans the same few frames as its neighbours but one, so two of them are compared on the
frames they share. On every start frame the best tubelets of a class are offered to the class's live
paths, which are served by their mean score; each takes the best-scored one that is left and overlaps
enough. A tube's box is the mean of all its tubelets' boxes on that frame.

Source: Kalogeiton et al., Action Tubelet Detector for Spatio-Temporal Action Localization, Section 3.3
(the linking of STEP Section 3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from stad_lite.linking.build import Linked, by_path, class_names, finish, starts
from stad_lite.linking.candidates import Selection, candidates
from stad_lite.linking.detections import Detections, class_scores, from_scores
from stad_lite.linking.live import LivePaths, Rule
from stad_lite.linking.trimming import Trim, asks_classes, trim_linked
from stad_lite.settings import AtLeastOne, Between, Share, check
from stad_lite.tubes import Tube, interpolate


@dataclass(frozen=True, eq=False)
class Tubelets:
    """Short tubes of one length, with a score for every class.

    start: (n,) first frames, 0-based, in any order
    boxes: (n, length, 4) xyxy pixels
    scores: (n, classes)
    raises: FormatError, NotFiniteError, InvertedBoxError, FrameRangeError

    >>> Tubelets(np.array([0, 1]), np.array([[[0., 0., 4., 4.]] * 6] * 2), np.array([[.9], [.8]])).length
    6
    """

    start: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        detections = from_scores(self.start, self.boxes, self.scores)
        object.__setattr__(self, "start", detections.start)
        object.__setattr__(self, "boxes", detections.boxes)
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float64))

    @property
    def length(self) -> int:
        """Frames of each tubelet."""
        return self.boxes.shape[1]


@dataclass(frozen=True)
class TubeletConfig:
    """Settings of tubelet linking. The defaults are the sound choice; the presets are others' numbers.

    min_score: tubelets need a score above it; None for any
    nms: mean overlap above which the lower-scored tubelet of a start frame and class goes; None for no
        suppression
    soft: ``""`` removes suppressed tubelets; ``"mean"`` multiplies their score by 1 - mean overlap
        instead; ``"sum"`` by 1 - the sum of the overlaps, below zero for most (MOC's released code)
    keep: best tubelets of a start frame and class; None for all
    overlap: least mean overlap on the shared frames (none shared: last box against first box)
    reach: a path may take a tubelet that starts up to this many frames after its last one; None for the
        tubelets' length less one (at least 1), so that shared frames remain
    min_tube_score, min_length: a tube needs this score and this many frames; None for any score
    nms_pixel, link_pixel: added to widths and heights in the overlaps (others' +1)
    tube_nms: overlap above which the lower-scored tube of a class goes; None for no suppression
    """

    min_score: Share | None = 0.01
    nms: Share | None = 0.3
    soft: Literal["", "mean", "sum"] = ""
    keep: AtLeastOne | None = 10
    overlap: Share = 0.3
    reach: AtLeastOne | None = None
    min_tube_score: Share | None = None
    min_length: AtLeastOne = 4
    nms_pixel: Annotated[float, Between(0, 16)] = 0.0
    link_pixel: Annotated[float, Between(0, 16)] = 0.0
    tube_nms: Share | None = None

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def act(cls) -> TubeletConfig:
        """Return the numbers of ACT's released code (tubelets of 6 frames, +1 in every overlap)."""
        return cls(
            min_score=None,
            nms=0.3,
            keep=10,
            overlap=0.2,
            min_tube_score=0.01,
            min_length=15,
            nms_pixel=1.0,
            link_pixel=1.0,
            tube_nms=0.3,
        )

    @classmethod
    def moc(cls, length: int = 7, negative_weights: bool = True) -> TubeletConfig:
        """Return the numbers of MOC's released code.

        length: frames of a tubelet; a path may skip one more start frame than in ACT
        negative_weights: as released, suppressed tubelets of several frames are weighted by 1 - the sum
            of their overlaps; False takes the mean in its place
        """
        return cls(
            min_score=None,
            nms=0.6,
            soft="sum" if negative_weights else "mean",
            keep=10,
            overlap=0.5,
            reach=length,
            min_tube_score=0.005,
            min_length=15,
            nms_pixel=1.0,
            link_pixel=1.0,
            tube_nms=0.3,
        )

    @classmethod
    def multisports(cls) -> TubeletConfig:
        """Return the numbers of the MultiSports evaluation: tubelets of one frame, no hole allowed."""
        return cls(
            min_score=None,
            nms=0.6,
            soft="mean",
            keep=10,
            overlap=0.5,
            reach=1,
            min_tube_score=0.005,
            min_length=15,
            nms_pixel=1.0,
            link_pixel=0.0,
        )


def link_tubelets(
    tubelets: Tubelets | Detections,
    config: TubeletConfig | None = None,
    classes: Sequence[str] | None = None,
    trim: Trim | None = None,
) -> Linked:
    """Link tubelets into tubes; frame detections are tubelets of one frame.

    classes: class names; None for "0", "1", ...
    trim: temporal trimming of the finished tubes
    returns: tubes with the mean score of their tubelets; ``members`` index the tubelets
    """
    config = TubeletConfig() if config is None else config
    if isinstance(tubelets, Tubelets):
        tubelets = from_scores(tubelets.start, tubelets.boxes, tubelets.scores)
    names, length = class_names(classes, tubelets.num_classes), tubelets.length
    # a path and a tubelet must share a frame to be compared; those of one frame share none
    reach = max(length - 1, 1) if config.reach is None else config.reach
    paths = LivePaths(tubelets.num_classes, length, Rule(config.overlap, reach, config.link_pixel))
    selection = Selection(config.min_score, None, config.nms, config.keep, config.nms_pixel, config.soft)
    log = []
    for frame, offered in candidates(tubelets, selection):
        used = offered.row >= 0
        path = paths.advance(frame, offered)[used]
        log.append((path, offered.row[used], offered.score[used]))
    if not log:
        return trim_linked(finish(Linked(), names, None, None), trim, names)
    path, row, score = (np.concatenate(column) for column in zip(*log, strict=True))
    # of any number of links: what is too short is told in frames, below
    kept, bounds, _ = by_path(path, 1)
    linked = _tubes(tubelets, row[kept], score[kept], bounds, names, config.min_length, asks_classes(trim))
    return trim_linked(finish(linked, names, config.min_tube_score, config.tube_nms), trim, names)


def _tubes(
    tubelets: Detections,
    row: np.ndarray,
    score: np.ndarray,
    bounds: np.ndarray,
    classes: Sequence[str],
    least: int,
    asked: bool,
) -> Linked:
    """One tube a path, from rows path after path (score: after soft suppression); short ones are counted."""
    source, length = tubelets.source[row], tubelets.length
    start = tubelets.start[source]
    spans = start[bounds[1:] - 1] + length - start[bounds[:-1]]
    ends = np.append(0, np.cumsum(spans))
    place = (ends[:-1] - start[bounds[:-1]])[np.cumsum(starts(bounds)) - 1] + start
    place = (place[:, None] + np.arange(length)).reshape(-1)
    values = [tubelets.boxes[source].reshape(-1, 4), np.repeat(score, length)[:, None]]
    if asked:
        values.append(np.repeat(class_scores(tubelets, source), length, axis=0))
    mean, covered = _means(np.concatenate(values, axis=1), place, int(ends[-1]))
    tubes, members, evidence, long = [], [], [], np.flatnonzero(spans >= least)
    for index in long:
        link, part = slice(*bounds[index : index + 2]), slice(*ends[index : index + 2])
        full = _bridged(mean[part], covered[part])
        # over tubelets, not frames: one that many others overlap counts no less (ACT.py)
        label, value = classes[tubelets.label[row[link.start]]], float(score[link].mean())
        tubes.append(Tube(int(start[link.start]), full[:, :4], label, value, full[:, 4]))
        members.append(source[link])
        evidence.append(full[:, 5:])
    removed = {"short": len(spans) - len(long)}
    return Linked(tuple(tubes), tuple(members), tuple(evidence) if asked else None, removed)


def _means(values: np.ndarray, place: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (count, columns) of the rows of values that fall on each place, and which places have any."""
    number = np.bincount(place, minlength=count)
    total = [np.bincount(place, weights=column, minlength=count) for column in values.T]
    return np.stack(total, axis=1) / np.maximum(number, 1)[:, None], number > 0


def _bridged(values: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Frames that no tubelet covers (``reach`` beyond the length) are interpolated linearly."""
    if covered.all():
        return values
    return interpolate(np.flatnonzero(covered), values[covered], np.arange(len(values)))
