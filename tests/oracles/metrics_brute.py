"""Average precision and overlaps by brute force, in exact fractions, on tiny cases.

Written from the definitions: sort, walk, take the best free truth; then add up the curve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stad_lite.metrics import Rules
from stad_lite.records import Annotations, Predictions

Box = tuple[Fraction, ...]


def _fractions(values: Any) -> Box:
    return tuple(Fraction(float(value)) for value in values)


def box_areas(a: Box, b: Box, pixel: Fraction) -> tuple[Fraction, Fraction]:
    """Return intersection and union."""
    width = max(Fraction(0), min(a[2], b[2]) + pixel - max(a[0], b[0]))
    height = max(Fraction(0), min(a[3], b[3]) + pixel - max(a[1], b[1]))
    areas = [(box[2] - box[0] + pixel) * (box[3] - box[1] + pixel) for box in (a, b)]
    return width * height, sum(areas) - width * height


def box_iou(a: Box, b: Box, rules: Rules) -> Fraction:
    """Return the overlap of a predicted with a true box."""
    shift = Fraction(rules.detection_shift)
    a = (a[0] + shift, a[1] + shift, a[2] + 2 * shift, a[3] + 2 * shift)
    inside, union = box_areas(a, b, Fraction(rules.pixel))
    return inside / union


def tube_iou(a: dict[int, Box], b: dict[int, Box], rules: Rules) -> Fraction:
    """Return the overlap of a predicted with a true tube, both {frame: box}."""
    common = sorted(set(a) & set(b))
    if not common or (len(common) == 1 and not rules.one_frame_overlap):
        return Fraction(0)
    if rules.tube_overlap == "volume":
        both = [box_areas(a[t], b[t], Fraction(rules.pixel)) for t in common]
        inside = sum(one for one, _ in both)
        zero = Fraction(0)
        lone = [box_areas(box, box, Fraction(rules.pixel))[0] for side in (a, b) for box in side.values()]
        return inside / (sum(lone, zero) - inside)
    spatial = sum(box_iou(a[t], b[t], rules) for t in common) / len(common)
    less = 1 if rules.extent_minus_one else 0
    union = len(set(a) | set(b))
    temporal = Fraction(len(common) - less, max(union - less, 1))
    parts = {"mean_common": spatial, "temporal_iou": temporal}
    return parts.get(rules.tube_overlap, spatial * temporal)


def segment_iou(a: Box, b: Box, rules: Rules) -> Fraction | float:
    """Return the overlap of two (start, end)."""
    inside = max(Fraction(0), min(a[1], b[1]) - max(a[0], b[0]))
    union = a[1] - a[0] + b[1] - b[0] - inside
    if union:
        return inside / union
    equal = a[0] == b[0]
    return {"same_point": 1.0 if equal else 0.0, "never": 0.0, "always": float("inf")}[rules.zero_length]


@dataclass
class Thing:
    """A truth or a detection: where it belongs, what it is, and what tells it from others."""

    group: Hashable
    label: str
    shape: Any
    content: tuple[Any, ...]
    score: Fraction = Fraction(1)
    hit: bool = False


def match(
    truths: Sequence[Thing],
    detections: list[Thing],
    overlap: Callable[[Any, Any, Rules], Any],
    threshold: float,
    rules: Rules,
) -> list[Thing]:
    """Return the detections in the order of trial, with their hits."""
    limit = Fraction(str(threshold))
    detections.sort(key=lambda one: (-one.score, one.content))
    taken: set[int] = set()
    for one in detections:
        one.hit = False
        best, where = None, None
        for index, truth in sorted(enumerate(truths), key=lambda pair: pair[1].content):
            if truth.group != one.group or truth.label != one.label:
                continue
            if rules.match == "best_remaining" and index in taken:
                continue
            value = overlap(one.shape, truth.shape, rules)
            if best is None or value > best:
                best, where = value, index
        if best is None or where in taken:
            continue
        if best > limit or (best == limit and not rules.strict):
            one.hit = True
            taken.add(where)  # type: ignore[arg-type]
    return detections


def ap(detections: Sequence[Thing], num_truth: int, rules: Rules) -> Fraction:
    """Return the average precision of one class from detections in the order of trial."""
    ordered = list(detections)
    if rules.ties in ("true_first", "false_first"):
        ordered.sort(key=lambda one: (-one.score, one.hit != (rules.ties == "true_first")))
    counts = [Fraction(one.hit) for one in ordered]
    if rules.ties == "shared":
        blocks = defaultdict(list)
        for one in ordered:
            blocks[one.score].append(Fraction(one.hit))
        counts = [sum(blocks[one.score], Fraction(0)) / len(blocks[one.score]) for one in ordered]
    recall, precision = [Fraction(0)], [Fraction(1)]
    true = Fraction(0)
    for place, count in enumerate(counts, start=1):
        true += count
        recall.append(true / num_truth)
        precision.append(true / place)
    steps = range(1, len(recall))
    if rules.ap == "trapezoid":
        return sum(
            ((recall[i] - recall[i - 1]) * (precision[i] + precision[i - 1]) / 2 for i in steps), Fraction(0)
        )
    if rules.ap == "envelope":
        return sum(((recall[i] - recall[i - 1]) * max(precision[i:]) for i in steps), Fraction(0))
    points = 10 if rules.ap == "eleven_points" else 100
    total = Fraction(0)
    for point in range(points + 1):
        total += max(
            (precision[i] for i in steps if recall[i] >= Fraction(point, points)), default=Fraction(0)
        )
    return total / (points + 1)


def mean_ap(
    truths: Sequence[Thing],
    detections: Sequence[Thing],
    classes: Sequence[str],
    overlap: Callable[[Any, Any, Rules], Any],
    threshold: float,
    rules: Rules,
) -> float | None:
    """Return the mean over classes in points, None where no class counts."""
    values = []
    for name in classes:
        mine = [one for one in truths if one.label == name]
        ours = [one for one in detections if one.label == name]
        if not ours and rules.classes_without_predictions == "left_out":
            continue
        if mine:
            values.append(ap(match(mine, ours, overlap, threshold, rules), len(mine), rules))
        elif rules.classes_without_truth == "zero":
            values.append(Fraction(0))
    return float(100 * sum(values) / len(values)) if values else None


def frame_things(
    truth: Annotations, predictions: Predictions, rules: Rules
) -> tuple[list[Thing], list[Thing]]:
    """Return boxes of ``frames`` as things."""

    def things(videos: Any, classes: Sequence[str]) -> list[Thing]:
        found = []
        for name, video in videos.items():
            rows = video.frames
            for i in range(0 if rows is None else len(rows)):
                box, frame = _fractions(rows.box[i]), int(rows.frame[i])
                score = Fraction(1) if rows.score is None else Fraction(float(rows.score[i]))
                found.append(Thing((name, frame), classes[rows.label[i]], box, (name, frame, box), score))
        return found

    truths = things(truth.videos, truth.classes)
    detections = things(predictions.videos, predictions.classes)
    if rules.frames == "annotated":
        annotated = {one.group for one in truths}
        detections = [one for one in detections if one.group in annotated]
    return truths, detections


def tube_things(truth: Annotations, predictions: Predictions) -> tuple[list[Thing], list[Thing]]:
    """Return tubes as things."""

    def things(videos: Any) -> list[Thing]:
        found = []
        for name, video in videos.items():
            for tube in video.tubes or ():
                boxes = {int(t): _fractions(box) for t, box in zip(tube.frames, tube.boxes, strict=True)}
                first, size = boxes[tube.start], len(tube)
                mean = tuple(sum(box[i] for box in boxes.values()) / size for i in range(4))
                score = Fraction(1) if tube.score is None else Fraction(float(tube.score))
                found.append(Thing(name, tube.label, boxes, (name, tube.start, size, *mean, *first), score))
        return found

    return things(truth.videos), things(predictions.videos)


def segment_things(truth: Annotations, predictions: Predictions) -> tuple[list[Thing], list[Thing]]:
    """Return segments as things."""

    def things(videos: Any) -> list[Thing]:
        found = []
        for name, video in videos.items():
            for one in video.segments or ():
                span = _fractions((one.start, one.end))
                score = Fraction(1) if one.score is None else Fraction(float(one.score))
                found.append(Thing(name, one.label, span, (name, *span), score))
        return found

    return things(truth.videos), things(predictions.videos)
