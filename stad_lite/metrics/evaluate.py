"""The one entry to every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stad_lite.errors import StadError
from stad_lite.metrics.clocks import on_one_clock
from stad_lite.metrics.conventions import KINDS, Convention, Rules, get_convention
from stad_lite.metrics.errors import find_errors, gains
from stad_lite.metrics.inputs import HOLDS, Task, task
from stad_lite.metrics.intervals import bootstrap as bootstrap_intervals
from stad_lite.metrics.matching import score, thresholds
from stad_lite.metrics.overlap import best_overlaps, class_means
from stad_lite.metrics.result import Result
from stad_lite.metrics.scored import class_curves, class_precisions, mean_over_classes
from stad_lite.records.types import Annotations, Predictions

METRICS = ("frame-map", "video-map", "temporal-map", "v-mabo", "errors")
"""Names that ``evaluate`` takes."""


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

    >>> from stad_lite.records import VideoAnnotation, VideoPredictions
    >>> from stad_lite.tubes import Tube
    >>> box = np.array([[10., 10., 20., 20.]])
    >>> true, ours = Tube(0, box.repeat(9, 0), "run"), Tube(0, box.repeat(6, 0), "run", score=0.8)
    >>> truth = Annotations("toy", ("run",), {"a": VideoAnnotation(9, 64, 48, tubes=(true,))})
    >>> predictions = Predictions(("run",), {"a": VideoPredictions(tubes=(ours,))})
    >>> evaluate(truth, predictions, "video-map", iou=(0.5, 0.75)).iou
    {0.5: 100.0, 0.75: 0.0}
    """
    if metric not in METRICS:
        raise StadError(f"no metric is called {metric!r}", remedy=f"choose from {', '.join(METRICS)}")
    chosen = get_convention(convention)
    _check_unused(metric, iou, bootstrap)
    truth, predictions = on_one_clock(truth, predictions)
    if metric == "v-mabo":
        return _mabo(truth, predictions, chosen, per_class, classes)
    if metric == "errors":
        return _errors(truth, predictions, chosen, iou, per_class, source, classes)
    kind = KINDS[metric]
    rules = chosen.rules(kind)
    levels = chosen.thresholds(metric) if iou is None else thresholds(iou)
    scored = task(truth, predictions, rules, kind, classes, source)
    matched = score(scored, kind, levels, rules, source)
    curves = class_curves(matched, len(scored.classes), rules)
    values = 100 * np.array([class_precisions(row, rules) for row in curves])
    result = summary(
        metric, chosen.name, scored, (matched.truth_label, matched.label), levels, values, per_class
    )
    if not bootstrap:
        return result
    spread = bootstrap_intervals(
        truth, predictions, metric, levels, chosen, bootstrap, seed=seed, source=source, classes=classes
    )
    return replace(result, interval={level: (one.low, one.high) for level, one in spread.items()})


def _check_unused(metric: str, iou: float | str | Sequence[float] | None, bootstrap: int) -> None:
    """Refuse arguments that the metric would have to disregard."""
    if metric == "v-mabo" and iou is not None:
        raise StadError("v-mabo has no overlap threshold", remedy="leave the thresholds out")
    if metric not in KINDS and bootstrap:
        raise StadError(f"no interval is computed for {metric!r}", remedy=f"choose from {', '.join(KINDS)}")


def _mabo(
    truth: Annotations,
    predictions: Predictions,
    chosen: Convention,
    per_class: bool,
    classes: Sequence[str] | None,
) -> Result:
    """Return v-MABO: the mean over classes of each true tube's best overlap (CFAD, section 4.1).

    Proposals of any class count, since it measures where tubes lie, not what they are called.
    """
    rules = chosen.rules("tubes")
    scored = task(truth, predictions, rules, "tubes", classes)
    rows, ours, best = best_overlaps(scored, rules)
    values = 100 * class_means(best, rows.label, len(scored.classes))
    result = summary("v-mabo", chosen.name, scored, (rows.label, ours.label), (0.0,), values[None], per_class)
    return replace(result, value=mean_over_classes(values), iou={})


def _errors(
    truth: Annotations,
    predictions: Predictions,
    chosen: Convention,
    iou: float | str | Sequence[float] | None,
    per_class: bool,
    source: str,
    classes: Sequence[str] | None,
) -> Result:
    levels = chosen.thresholds("errors") if iou is None else thresholds(iou)
    if len(levels) != 1:
        raise StadError(f"errors are told at one threshold, not at {len(levels)}", remedy="give one")
    kind = _kind_of(truth, predictions, source)
    rules = chosen.rules(kind)
    scored = task(truth, predictions, rules, kind, classes, source if kind == "frames" else "auto")
    errors = find_errors(scored, kind, levels[0], rules, source)
    values, gain = gains(errors, len(scored.classes), rules)
    result = summary(
        "errors", chosen.name, scored, (errors.truth_label, errors.label), levels, values[None], per_class
    )
    return replace(result, counts=errors.counts(), gain=gain)


def _kind_of(truth: Annotations, predictions: Predictions, source: str) -> str:
    """Return what errors are told of: tubes where both sides have them, else frames, else segments."""
    if source == "frames":
        return "frames"

    def holds(record: Annotations | Predictions, names: Sequence[str]) -> bool:
        return any(getattr(video, name) is not None for video in record.videos.values() for name in names)

    for kind in ("tubes", "frames", "segments"):
        if holds(truth, HOLDS[kind]) and holds(predictions, (kind,)):
            return kind
    return "tubes"


def summary(
    metric: str,
    name: str,
    scored: Task,
    labels: tuple[np.ndarray, np.ndarray],
    levels: Sequence[float],
    values: np.ndarray,
    per_class: bool,
) -> Result:
    """Return the result of (thresholds, classes) values, NaN where a class is left out.

    labels: classes of the counted truths and of the counted predictions
    """
    truth, ours = labels
    have_truth = np.isin(np.arange(len(scored.classes)), truth)
    scored.ignore("predictions of classes without truth", int((~have_truth[ours]).sum()))
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
        len(truth),
        len(ours),
        dict(scored.ignored),
        tuple(cls for c, cls in enumerate(scored.classes) if out[c]),
    )
