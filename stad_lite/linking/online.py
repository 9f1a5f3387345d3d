"""Online linking: tubes grow frame by frame, class by class (Singh et al., ROAD).

On every frame the best boxes of a class are offered to the class's live paths. Paths are served by
the mean of their best scores; each takes the best-scored box that is left and overlaps its last one
enough. A path that finds no box for some frames ends; boxes that nobody took start paths.

Nothing that a later frame brings changes an earlier link. Equal scores are ranked by coordinates
(``detections``), so the order of the input never matters.

Source: Singh et al., Online Real-time Multiple Spatiotemporal Action Localisation and Prediction,
Section 3.4 (linking of PCSC Section 3.4 and of the flow subnet's paper, Section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from stad_lite.errors import FormatError, FrameRangeError
from stad_lite.linking.build import Linked, by_path, class_names, finish, tubes_of_boxes
from stad_lite.linking.candidates import Selection, candidates
from stad_lite.linking.detections import Detections, from_scores
from stad_lite.linking.live import LivePaths, Rule
from stad_lite.linking.trimming import Trim, asks_classes, trim_linked
from stad_lite.settings import AtLeastOne, Between, Share, check
from stad_lite.tubes import Tube


@dataclass(frozen=True)
class OnlineConfig:
    """Settings of online linking. The defaults are the sound choice; the presets are others' numbers.

    min_score: boxes need a score above it
    pre_nms: best boxes of a frame and class that enter suppression; None for all
    nms: overlap above which the lower-scored box goes; None for no suppression
    keep: best boxes of a frame and class that may be linked; None for all
    overlap: least overlap of a box with the path's last one
    gap: a path ends when it has found no box on this many frames in a row; 1 allows no hole
    rank: paths are served by the mean of this many of their best scores; None for all scores
    motion: ``last`` compares boxes with the path's last one, ``velocity`` with that box moved by the
        path's mean step over its last ``gap`` + 1 boxes (one step, however many frames were missed)
    fill: holes take the ``linear`` interpolation, or ``repeat`` the box found next
    min_boxes: boxes that a path must have found to become a tube
    pixel: added to widths and heights in the overlap with the path (others' +1)
    tube_nms: overlap above which the lower-scored tube of a class goes; None for no suppression
    unclipped: slip of 3D-RetinaNet's code: boxes that lie apart in both directions overlap, too, by the
        product of their two distances
    """

    min_score: Share = 0.01
    pre_nms: AtLeastOne | None = None
    nms: Share | None = 0.45
    keep: AtLeastOne | None = 10
    overlap: Share = 0.3
    gap: AtLeastOne = 3
    rank: AtLeastOne | None = 4
    motion: Literal["last", "velocity"] = "last"
    fill: Literal["linear", "repeat"] = "linear"
    min_boxes: AtLeastOne = 4
    pixel: Annotated[float, Between(0, 16)] = 0.0
    tube_nms: Share | None = None
    unclipped: bool = False

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def road(cls) -> OnlineConfig:
        """Return the numbers of ROAD's released code: +1 in the link's overlap, holes repeat the next box."""
        return cls(
            min_score=0.001,
            pre_nms=50,
            nms=0.45,
            keep=10,
            overlap=0.1,
            gap=3,
            rank=4,
            # its fill_gaps copies the box found next; it does not interpolate
            fill="repeat",
            # paths of no more boxes than the gap of 3 are dropped (incremental_linking.m)
            min_boxes=4,
            pixel=1.0,
        )

    @classmethod
    def retina3d(cls, released: bool = False) -> OnlineConfig:
        """Return the numbers of 3D-RetinaNet's code, holes filled and short paths dropped as it means to.

        Its own paths come out with ``released`` where its boxes are linked by the one score that it links
        by (whether there is an actor, a single class here), not class by class as everywhere else, which
        gives about as many paths a class; and where no box scores .1 or less, since it takes such boxes
        only beside others within reach.

        released: keep what the code does against its own numbers: ``fill_gaps`` returns the paths that it
            was given, so that none is too short; and the intersection of boxes is not clipped at 0
        """
        return cls(
            min_score=0.025,
            nms=0.5,
            keep=10,
            overlap=0.5,
            gap=4,
            rank=5,
            # the box expected next is moved on by the mean step over gap + 1 boxes (gen_agent_paths.py)
            motion="velocity",
            fill="linear",
            min_boxes=1 if released else 6,
            unclipped=released,
        )

    def _selection(self) -> Selection:
        return Selection(self.min_score, self.pre_nms, self.nms, self.keep)

    def _rule(self) -> Rule:
        velocity = self.motion == "velocity"
        return Rule(self.overlap, self.gap, self.pixel, self.rank, True, velocity, self.unclipped)


class OnlineLinker:
    """Links frames as they arrive.

    num_classes: classes that every box is scored for
    config: settings; None for the defaults
    classes: class names; None for "0", "1", ...

    >>> linker = OnlineLinker(num_classes=1)
    >>> for frame in range(4):
    ...     path = linker.step(frame, np.array([[frame, 0., frame + 8., 8.]]), np.array([[.5]]))
    >>> [(tube.start, tube.end, tube.score) for tube in linker.tubes()]
    [(0, 4, 0.5)]
    """

    def __init__(
        self, num_classes: int, config: OnlineConfig | None = None, classes: Sequence[str] | None = None
    ) -> None:
        self.config = OnlineConfig() if config is None else config
        self.classes = class_names(classes, num_classes)
        self.frame = -1
        self._paths = LivePaths(num_classes, 1, self.config._rule())
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._log: list[tuple[np.ndarray, np.ndarray]] = []
        self._rows = 0

    def step(self, frame: int, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Link one frame; frames left out count as frames without boxes.

        frame: its number, above that of the frame before
        boxes: (n, 4) xyxy pixels
        scores: (n, classes)
        returns: (n, classes) number of the path that the box joins for the class, -1 where it is not used
        raises: FrameRangeError, FormatError, NotFiniteError, InvertedBoxError
        """
        if frame <= self.frame:
            raise FrameRangeError(
                f"frame {frame} arrives after frame {self.frame}", frame=frame, remedy="give rising frames"
            )
        boxes, scores = np.asarray(boxes), np.asarray(scores)
        if not len(boxes):
            # an empty list has no columns
            boxes, scores = np.zeros((0, 4)), np.zeros((0, len(self.classes)))
        if scores.ndim != 2 or scores.shape[1] != len(self.classes):
            raise FormatError(
                f"scores have shape {scores.shape}",
                frame=frame,
                remedy=f"give (n, {len(self.classes)} classes)",
            )
        detections = from_scores(np.full(len(boxes), frame), boxes, scores)
        self.frame, path = frame, np.full(scores.shape, -1)
        for _, offered in candidates(detections, self.config._selection()):
            used = offered.row >= 0
            row, joined = offered.row[used], self._paths.advance(frame, offered)[used]
            path.reshape(-1)[row] = joined
            self._log.append((joined, row + self._rows))
        self._seen.append((detections.start, detections.boxes, scores))
        self._rows += scores.size
        return path

    def result(self, trim: Trim | None = None) -> Linked:
        """Return what was linked so far; ``members`` count the boxes in the order in which they came."""
        if not self._seen:
            return finish(Linked(), self.classes, None, None)
        detections = from_scores(*(np.concatenate(column) for column in zip(*self._seen, strict=True)))
        return _collect(detections, self._log, self.config, self.classes, trim)

    def tubes(self, trim: Trim | None = None) -> tuple[Tube, ...]:
        """Return the tubes of the frames so far, with or without temporal labelling (``trimming``)."""
        return self.result(trim).tubes


def link_online(
    detections: Detections,
    config: OnlineConfig | None = None,
    classes: Sequence[str] | None = None,
    trim: Trim | None = None,
) -> Linked:
    """Link all frames of a video: what ``OnlineLinker`` gives, faster.

    detections: boxes of single frames (``from_rows``, ``from_scores``), in any order
    classes: class names; None for "0", "1", ...
    trim: temporal labelling of the finished tubes
    raises: FormatError when the detections are tubelets
    """
    config = OnlineConfig() if config is None else config
    if detections.length != 1:
        raise FormatError(
            f"online linking takes boxes, not tubelets of {detections.length} frames",
            remedy="use link_tubelets",
        )
    paths = LivePaths(detections.num_classes, 1, config._rule())
    log = []
    for frame, offered in candidates(detections, config._selection()):
        used = offered.row >= 0
        log.append((paths.advance(frame, offered)[used], offered.row[used]))
    return _collect(detections, log, config, class_names(classes, detections.num_classes), trim)


def _collect(
    detections: Detections,
    log: list[tuple[np.ndarray, np.ndarray]],
    config: OnlineConfig,
    classes: Sequence[str],
    trim: Trim | None,
) -> Linked:
    """Turn the links, (path, row) a frame, into tubes."""
    if not log:
        return trim_linked(finish(Linked(), classes, None, None), trim, classes)
    path, row = (np.concatenate(column) for column in zip(*log, strict=True))
    kept, bounds, short = by_path(path, config.min_boxes)
    row, asked = row[kept], asks_classes(trim)
    linked = tubes_of_boxes(detections, row, detections.frame_of(row), bounds, config.fill, classes, asked)
    linked = replace(linked, removed={"short": short})
    return trim_linked(finish(linked, classes, None, config.tube_nms), trim, classes)
