"""The one entry to every metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stad_lite.errors import StadError
from stad_lite.metrics.conventions import KINDS, Convention, Rules, convention
from stad_lite.metrics.frames import score_frames
from stad_lite.metrics.inputs import Task, task
from stad_lite.metrics.result import Result
from stad_lite.metrics.scored import Scored, class_curves, class_precisions, mean_over_classes
from stad_lite.metrics.temporal import score_segments
from stad_lite.metrics.videos import score_tubes
from stad_lite.records.types import Annotations, Predictions

METRICS = ("frame-map", "video-map", "temporal-map", "v-mabo", "errors")
"""Names that ``evaluate`` takes."""


def thresholds(iou: float | str | Sequence[float]) -> tuple[float, ...]:
    """Return overlap thresholds from a number, a list, or text such as ``0.5:0.95`` or ``0.3:0.7:0.1``.

    raises: StadError for thresholds outside (0, 1], repeated, or none

    >>> thresholds("0.2,0.5:0.6")
    (0.2, 0.5, 0.55, 0.6)
    """
    if isinstance(iou, str):
        values = [value for part in iou.split(",") for value in _span(part)]
    else:
        values = [float(value) for value in (iou if isinstance(iou, Sequence | np.ndarray) else [iou])]
    if not values or not all(0 < value <= 1 for value in values) or len(set(values)) < len(values):
        raise StadError(f"the overlap thresholds are {iou!r}", remedy="give different numbers in (0, 1]")
    return tuple(values)


def _span(text: str) -> list[float]:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or (len(parts) == 3 and parts[2] <= 0):
        raise StadError(f"{text!r} is no overlap threshold", remedy="write 0.5, 0.5:0.95 or 0.3:0.7:0.1")
    if len(parts) == 1:
        return parts
    step = parts[2] if len(parts) == 3 else 0.05
    return [round(parts[0] + step * i, 10) for i in range(int((parts[1] - parts[0]) / step + 1e-6) + 1)]


def score(scored: Task, kind: str, iou: Sequence[float], rules: Rules, source: str = "auto") -> Scored:
    """Match the predictions of a task: ``frames``, ``tubes`` or ``segments``."""
    if kind == "frames":
        return score_frames(scored, iou, rules, source)
    return score_tubes(scored, iou, rules) if kind == "tubes" else score_segments(scored, iou, rules)


def evaluate(
    truth: Annotations,
    predictions: Predictions,
    metric: str,
    iou: float | str | Sequence[float] | None = None,
    convention: str | Convention | Rules = "sound",
    per_class: bool = True,
    source: str = "auto",
    classes: Sequence[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> Result:
    """Score predictions against the truth.

    metric: ``frame-map``, ``video-map``, ``temporal-map``, ``v-mabo`` or ``errors``
    iou: overlap thresholds (a number, numbers or ``0.5:0.95``); the convention's own where not given
    convention: a name in ``CONVENTIONS``, a ``Convention``, or ``Rules`` of one's own
    per_class: whether the result carries the values of each class
    source: of frame boxes: ``frames``, ``tubes``, or ``auto`` (``frames``, else tubes taken apart, each
        box with its ``box_scores``, else with the tube's score)
    classes: the evaluated classes; all of the truth's where not given
    bootstrap: number of resamples of the videos for a 95 % interval, 0 for none
    raises: UnknownVideoError, UnknownLabelError, FormatError, StadError
    """
    if metric not in METRICS:
        raise StadError(f"no metric is called {metric!r}", remedy=f"choose from {', '.join(METRICS)}")
    chosen = _convention(convention)
    if metric in ("v-mabo", "errors"):
        raise StadError("later")
    kind = KINDS[metric]
    rules = chosen.rules(kind)
    levels = chosen.thresholds(metric) if iou is None else thresholds(iou)
    scored = task(truth, predictions, rules, kind, classes, source)
    matched = score(scored, kind, levels, rules, source)
    curves = class_curves(matched, len(scored.classes), rules)
    values = 100 * np.array([class_precisions(row, rules) for row in curves])
    return summary(metric, chosen.name, scored, matched, levels, values, per_class)


_convention = convention


def summary(
    metric: str,
    name: str,
    scored: Task,
    matched: Scored,
    levels: Sequence[float],
    values: np.ndarray,
    per_class: bool,
) -> Result:
    """Return the result of (thresholds, classes) values, NaN where a class is left out."""
    have_truth = np.isin(np.arange(len(scored.classes)), matched.truth_label)
    stray = int((~have_truth)[matched.label].sum()) if len(have_truth) else 0
    scored.ignore("predictions of classes without truth", stray)
    out = np.isnan(values).all(0)
    table = {
        cls: {level: float(value) for level, value in zip(levels, values[:, c], strict=True)}
        for c, cls in enumerate(scored.classes)
        if per_class and not out[c]
    }
    return Result(
        metric,
        name,
        {level: mean_over_classes(row) for level, row in zip(levels, values, strict=True)},
        table,
        scored.num_videos,
        len(matched.truth_label),
        len(matched.label),
        dict(scored.ignored),
        tuple(cls for c, cls in enumerate(scored.classes) if out[c]),
    )
