"""How far the order of equal scores moves a mean average precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.evaluate import evaluate
from stad_lite.metrics.inputs import task
from stad_lite.metrics.matching import score
from stad_lite.metrics.scored import class_curves, class_precisions
from stad_lite.records import Annotations, Predictions


def tie_range(
    truth: Annotations,
    predictions: Predictions,
    metric: str = "frame-map",
    iou: float = 0.5,
    rules: Rules | None = None,
) -> tuple[float, float, float]:
    """Return the metric in percent with false ones first among equal scores, true ones first, and as stated.

    raises: what ``evaluate`` raises
    """
    low, high, stated = (
        evaluate(truth, predictions, metric, iou, replace(rules or Rules(), ties=ties)).iou[iou]
        for ties in ("false_first", "true_first", "content")
    )
    return low, high, stated


def over_orders(
    truth: Annotations, predictions: Predictions, count: int, rng: np.random.Generator, iou: float = 0.5
) -> Iterator[float]:
    """Yield the frame-mAP of tubes taken apart, in percent, for random orders of equal scores.

    A tube has one box a frame, so that only the curve depends on the order, not the matching.
    """
    rules = Rules()
    found = task(truth, predictions, rules, "frames", source="tubes")
    matched = score(found, "frames", (iou,), rules, "tubes")
    for _ in range(count):
        order = rng.permutation(len(matched.score))
        columns = {name: getattr(matched, name)[order] for name in ("video", "label", "score")}
        curves = class_curves(
            replace(matched, hit=matched.hit[:, order], **columns), len(truth.classes), rules
        )
        yield 100 * float(np.nanmean(class_precisions(curves[0], rules)))
