"""Video-mAP: whole tubes, matched within one video and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stad_lite.boxes import area
from stad_lite.metrics import pairing
from stad_lite.metrics.conventions import Rules
from stad_lite.metrics.frames import box_overlap
from stad_lite.metrics.inputs import Items, Task, items
from stad_lite.metrics.precision import ragged
from stad_lite.metrics.scored import Scored

CHUNK = 400_000
"""Pairs of boxes compared at a time; bounds the memory."""


def score_tubes(scored: Task, thresholds: Sequence[float], rules: Rules) -> Scored:
    """Match predicted tubes to true ones, video by video and class by class.

    thresholds: tube overlaps
    returns: every counted tube with its score and whether it is true at each threshold
    """
    truth, tubes = counted_tubes(scored, rules)
    hit = pairing.match(truth, tubes, tube_overlaps, thresholds, rules)
    return Scored.columns(tubes, truth, hit)


def counted_tubes(scored: Task, rules: Rules) -> tuple[Items, Items]:
    """Return the true and the predicted tubes that count, the latter after the rules' tube NMS."""
    truth, tubes = items(scored, "tubes", rules)
    if rules.tube_nms is None:
        return truth, tubes
    plain = replace(rules, detection_shift=0.0)
    kept = pairing.suppress(tubes, tube_overlaps, rules.tube_nms, plain)
    scored.ignore(f"predictions suppressed by tube NMS {rules.tube_nms:g}", len(tubes) - len(kept))
    return truth, tubes.take(kept)


class _Flat:
    """The boxes of many tubes end to end, those of ``used`` tubes only."""

    def __init__(self, tubes: Items, used: np.ndarray) -> None:
        everything = tubes.items
        self.start = np.array([tube.start for tube in everything], dtype=np.int64)
        self.length = np.array([len(tube) for tube in everything], dtype=np.int64)
        chosen = np.unique(used)
        kept = np.zeros(len(everything), dtype=np.int64)
        kept[chosen] = self.length[chosen]
        self.offset = np.cumsum(kept) - kept
        parts = [everything[i].boxes for i in chosen.tolist()]
        self.boxes = np.concatenate(parts) if parts else np.zeros((0, 4))

    def at(self, tube: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Return the boxes of each tube on ``count`` frames from ``first`` on, end to end."""
        return self.boxes[ragged(self.offset[tube] + first - self.start[tube], count)]

    def volume(self, rules: Rules) -> np.ndarray:
        """Return each used tube's summed area (0 for the others)."""
        sides = self.boxes + rules.pixel * np.array([0.0, 0.0, 1.0, 1.0])
        total = np.concatenate([[0.0], np.cumsum(area(sides))])
        end = np.minimum(self.offset + self.length, len(self.boxes))
        return total[end] - total[self.offset]


def tube_overlaps(ours: Items, truth: Items, i: np.ndarray, j: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the overlaps of the tubes ours[i] and truth[j] under the rules, pair by pair.

    i, j: (p,) positions
    returns: (p,); 0 for tubes that share no frame
    """
    a, b = _Flat(ours, i), _Flat(truth, j)
    first = np.maximum(a.start[i], b.start[j])
    shared = np.minimum(a.start[i] + a.length[i], b.start[j] + b.length[j]) - first
    result = np.zeros(len(i))
    meeting = np.flatnonzero(shared > (0 if rules.one_frame_overlap else 1))
    ends = np.cumsum(shared[meeting])
    cuts = np.searchsorted(ends, np.arange(CHUNK, ends[-1] if len(ends) else 0, CHUNK)) + 1
    for part in np.split(meeting, np.unique(cuts)):
        if not len(part):
            continue
        left, right, count = i[part], j[part], shared[part]
        ours_at, truth_at = a.at(left, first[part], count), b.at(right, first[part], count)
        union = a.length[left] + b.length[right] - count
        if rules.tube_overlap == "volume":
            total = a.volume(rules)[left] + b.volume(rules)[right]
            inside = _sum_runs(_shared_area(ours_at, truth_at, rules), count)
            result[part] = inside / (total - inside)
        else:
            boxes = _sum_runs(box_overlap(ours_at, truth_at, rules), count)
            result[part] = _combine(boxes, count, union, rules)
    return result


def _sum_runs(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, np.cumsum(count) - count)


def _shared_area(a: np.ndarray, b: np.ndarray, rules: Rules) -> np.ndarray:
    overlap = box_overlap(a, b, rules)
    grow = rules.pixel * np.array([0.0, 0.0, 1.0, 1.0])
    return np.asarray((area(a + grow) + area(b + grow)) * overlap / (1 + overlap))


def _combine(boxes: np.ndarray, count: np.ndarray, union: np.ndarray, rules: Rules) -> np.ndarray:
    """Return tube overlaps from the summed box overlaps and the numbers of frames."""
    if rules.extent_minus_one:
        temporal = (count - 1) / np.maximum(union - 1, 1)
    elif rules.tube_overlap in ("temporal_times_spatial", "union_mean"):
        return boxes / union
    else:
        temporal = count / union
    if rules.tube_overlap == "temporal_iou":
        return temporal
    return boxes / count if rules.tube_overlap == "mean_common" else boxes / count * temporal
