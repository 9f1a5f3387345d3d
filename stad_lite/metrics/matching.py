"""Match whatever a metric scores, and read the thresholds that a caller gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stad_lite.errors import StadError
from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.frames import score_frames
from stad_lite.metrics.inputs import Task
from stad_lite.metrics.scored import Scored
from stad_lite.metrics.temporal import score_segments
from stad_lite.metrics.videos import score_tubes


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
    if (
        not 1 <= len(parts) <= 3
        or not all(0 < part <= 1 for part in parts)
        or min(parts[2:], default=1) < 1e-3
    ):
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
