"""How wide the interval is: bootstrap over videos, and paired differences of two predictions files.

Videos are drawn with replacement; a video drawn twice counts twice. Matching happens within videos,
so it is done once and a draw only changes how often each detection and truth counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stad_lite.errors import StadError
from stad_lite.metrics.conventions import KINDS, Convention, Rules, get_convention
from stad_lite.metrics.inputs import task
from stad_lite.metrics.matching import score, thresholds
from stad_lite.metrics.scored import ClassCurve, class_curves, class_precisions, mean_over_classes
from stad_lite.progress import progress
from stad_lite.records.types import Annotations, Predictions

MOST_DRAWS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval, in points.

    value: on all videos
    low, high: percentile interval
    level: share of the draws inside it
    above: share of the draws above 0 (of a difference: how often the first is better)
    draws: number of draws
    """

    value: float
    low: float
    high: float
    level: float
    above: float
    draws: int


@dataclass(frozen=True)
class _Resampled:
    """One predictions file, ready to be scored on any draw of videos."""

    curves: list[list[ClassCurve]]
    rules: Rules
    place: np.ndarray

    def values(self, counts: np.ndarray) -> np.ndarray:
        """Return the mAP at each threshold when each video of the truth counts so often."""
        weight = np.ones(len(self.place))
        weight[self.place >= 0] = counts[self.place[self.place >= 0]]
        rows = [class_precisions(row, self.rules, weight) for row in self.curves]
        return 100 * np.array([mean_over_classes(row) for row in rows])


def _prepare(
    truth: Annotations,
    predictions: Predictions,
    metric: str,
    levels: Sequence[float],
    rules: Rules,
    source: str,
    classes: Sequence[str] | None,
) -> _Resampled:
    scored = task(truth, predictions, rules, KINDS[metric], classes, source)
    curves = class_curves(score(scored, KINDS[metric], levels, rules, source), len(scored.classes), rules)
    index = {name: position for position, name in enumerate(truth.videos)}
    return _Resampled(curves, rules, np.array([index.get(name, -1) for name in scored.videos]))


def bootstrap(
    truth: Annotations,
    predictions: Predictions,
    metric: str,
    iou: float | str | Sequence[float] | None = None,
    convention: str | Convention | Rules = "sound",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    source: str = "auto",
    classes: Sequence[str] | None = None,
) -> dict[float, Interval]:
    """Return each threshold's mAP with a percentile interval over draws of the videos.

    metric: ``frame-map``, ``video-map`` or ``temporal-map``
    draws: number of resamples of the videos
    level: share of the draws inside the interval
    raises: StadError and what ``evaluate`` raises
    """
    return _intervals(truth, (predictions,), metric, iou, convention, draws, level, seed, source, classes)


def paired_difference(
    truth: Annotations,
    first: Predictions,
    second: Predictions,
    metric: str,
    iou: float | str | Sequence[float] | None = None,
    convention: str | Convention | Rules = "sound",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    source: str = "auto",
    classes: Sequence[str] | None = None,
) -> dict[float, Interval]:
    """Return the mAP of the first less that of the second, each draw scoring both on the same videos."""
    return _intervals(truth, (first, second), metric, iou, convention, draws, level, seed, source, classes)


def _intervals(
    truth: Annotations,
    files: Sequence[Predictions],
    metric: str,
    iou: float | str | Sequence[float] | None,
    convention: str | Convention | Rules,
    draws: int,
    level: float,
    seed: int,
    source: str,
    classes: Sequence[str] | None,
) -> dict[float, Interval]:
    if metric not in KINDS:
        raise StadError(f"no interval is computed for {metric!r}", remedy=f"choose from {', '.join(KINDS)}")
    if not 1 <= draws <= MOST_DRAWS or not 0 < level < 1:
        remedy = f"give at least 1 draw, at most {MOST_DRAWS}, and a level in (0, 1)"
        raise StadError(f"{draws} draws at level {level}", remedy=remedy)
    chosen = get_convention(convention)
    levels = chosen.thresholds(metric) if iou is None else thresholds(iou)
    rules = chosen.rules(KINDS[metric])
    ready = [_prepare(truth, one, metric, levels, rules, source, classes) for one in files]
    signs = (1, -1)[: len(ready)]

    def value(counts: np.ndarray) -> np.ndarray:
        return np.asarray(sum(sign * one.values(counts) for sign, one in zip(signs, ready, strict=True)))

    size = len(truth.videos)
    generator = np.random.default_rng(seed)
    draw = [np.bincount(generator.integers(size, size=size), minlength=size) for _ in range(draws)]
    table = np.array([value(counts) for counts in progress(draw, total=draws, desc="bootstrap")])
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(table, [tail, 100 - tail], axis=0)
    above = (table > 0).mean(0)
    columns = zip(levels, value(np.ones(size)), low, high, above, strict=True)
    return {t: Interval(float(v), float(a), float(b), level, float(c), draws) for t, v, a, b, c in columns}
