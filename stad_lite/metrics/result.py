"""What an evaluation returns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """One metric of one predictions file.

    metric, convention: their names
    iou: value at each overlap threshold, 0..100, higher is better
    per_class: {class: {threshold: value}}, classes of the mean only
    num_videos, num_truth, num_predictions: what was counted (after the convention's rules)
    ignored: {reason: count} of what was given and not counted
    left_out: classes that are not in the mean, for want of truth (or, in some conventions, predictions)
    value: v-MABO, 0..100, where the metric has no threshold
    counts: {error type: number} (metric ``errors``)
    gain: {error type: points of mAP won by fixing it} (metric ``errors``)
    interval: {threshold: (low, high)} bootstrap interval of the values, where asked for
    """

    metric: str
    convention: str
    iou: Mapping[float, float] = field(default_factory=dict)
    per_class: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    num_videos: int = 0
    num_truth: int = 0
    num_predictions: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    value: float | None = None
    counts: Mapping[str, int] | None = None
    gain: Mapping[str, float] | None = None
    interval: Mapping[float, tuple[float, float]] | None = None

    @property
    def mean(self) -> float:
        """The mean over the thresholds (such as the average mAP over .5:.95)."""
        return sum(self.iou.values()) / len(self.iou) if self.iou else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: thresholds as text, NaN (no class has truth) as None."""
        plain: dict[str, Any] = {"metric": self.metric, "convention": self.convention}
        if self.value is not None:
            plain["value"] = _number(self.value)
            plain["per_class"] = {name: _number(row[0.0]) for name, row in self.per_class.items()}
        else:
            plain["iou"] = _table(self.iou)
            plain["mean"] = _number(self.mean)
            plain["per_class"] = {name: _table(row) for name, row in self.per_class.items()}
        if self.counts is not None and self.gain is not None:
            plain["counts"] = dict(self.counts)
            plain["gain"] = {name: _number(points) for name, points in self.gain.items()}
        if self.interval is not None:
            plain["interval"] = {f"{t:g}": [_number(v) for v in pair] for t, pair in self.interval.items()}
        plain |= {name: getattr(self, name) for name in ("num_videos", "num_truth", "num_predictions")}
        return plain | {"ignored": dict(self.ignored), "left_out": list(self.left_out)}

    def to_json(self, indent: int | None = None) -> str:
        """Return one JSON object.

        >>> json.loads(Result("frame-map", "sound", {0.5: 71.25}).to_json())["iou"]
        {'0.5': 71.25}
        """
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _table(values: Mapping[float, float]) -> dict[str, float | None]:
    return {f"{threshold:g}": _number(value) for threshold, value in values.items()}
