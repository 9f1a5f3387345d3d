"""Two streams or two models as one detector: late fusion by mean or union, and hybrid (STEP Sec. 3.5).

Early fusion is not here: it is one detector whose input has both streams stacked
(``StepConfig(stream="early")``). Hybrid fusion joins that one with the detectors of the single streams; on
AVA two RGB models are joined in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.data.clips import FrameRun
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.step.model import Dense
from stad_lite.step.system import StepSystem, look
from stad_lite.systems.maps import FrameMaps

RULES = ("union", "mean", "nearest")
"""``union`` offers the detections of all parts to one suppression (ROAD); ``mean`` averages scores and boxes
of the proposals that began as the same cuboid (after ACT, whose anchors stay where they are); ``nearest``
averages the scores of a detection and of the others' boxes that overlap it most, for after several steps
the proposals of one cuboid may have gone to different actors. The paper compares union and mean only by
naming them."""


def fuse(parts: Sequence[Dense], rule: str = "union") -> Dense:
    """Return what several detectors say of the same clips as one answer.

    parts: boxes (n, m, classes, t, 4) and scores (n, m, classes) of each; m may differ for ``union`` and
        ``nearest``
    rule: one of ``RULES``
    raises: FormatError
    Source: STEP Sec. 3.5.

    >>> one = Dense(np.zeros((1, 11, 2, 6, 4)), np.zeros((1, 11, 2)))
    >>> fuse([one, one]).scores.shape, fuse([one, one], "mean").scores.shape
    ((1, 22, 2), (1, 11, 2))
    """
    if rule not in RULES or not parts:
        raise FormatError(f"no way to join {len(parts)} parts by {rule!r}", remedy=f"choose from {RULES}")
    shapes = {(part.boxes.shape[0], *part.boxes.shape[2:]) for part in parts}
    if len(shapes) > 1 or (rule == "mean" and len({part.boxes.shape[1] for part in parts}) > 1):
        raise FormatError(
            f"detections of shapes {[part.boxes.shape for part in parts]} cannot be joined",
            remedy="detect on the same clips with the same classes (and, for a mean, the same cuboids)",
        )
    if rule == "mean":
        boxes, scores = (np.mean(columns, axis=0) for columns in zip(*parts, strict=True))
        return Dense(boxes, scores)
    if rule == "nearest":
        parts = [_supported(part, [other for other in parts if other is not part]) for part in parts]
    boxes, scores = (np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True))
    return Dense(boxes, scores)


def _supported(part: Dense, others: Sequence[Dense], least: float = 0.5) -> Dense:
    """A part's scores, averaged with those that the others give to the same place and class; 0 for none."""
    total = part.scores.copy()
    for other in others:
        overlap = box_ops.iou(part.boxes[:, :, None], other.boxes[:, None]).mean(-1)
        agreed = np.where(overlap >= least, other.scores[:, None], 0.0)
        total += agreed.max(2, initial=0.0)
    return Dense(part.boxes, total / (1 + len(others)))


def look_together(
    systems: Sequence[StepSystem],
    source: VideoSource,
    maps: Sequence[FrameMaps | None] | None = None,
    rule: str = "union",
) -> Iterator[tuple[str, list[FrameRun], list[Dense]]]:
    """Yield every video's clips with what the detectors say of them together, step by step.

    systems: of the same classes, clips and number of steps
    maps: of all frames, for each system; None where they are to be computed
    raises: FormatError
    """
    if len({(one.classes, one.config.clip, one.config.stride, one.config.steps) for one in systems}) != 1:
        raise FormatError(
            "detectors of different classes, clips or steps", remedy="build them with the same settings"
        )
    looks = [
        look(one, source, known) for one, known in zip(systems, maps or [None] * len(systems), strict=True)
    ]
    for together in zip(*looks, strict=True):
        video, runs, _ = together[0]
        yield (
            video,
            runs,
            [fuse(parts, rule) for parts in zip(*(steps for _, _, steps in together), strict=True)],
        )
