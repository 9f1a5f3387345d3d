"""Frame-mAP and video-mAP as straightforward loops over classes, frames and detections in numpy.

The oracle on realistic sizes and what the benchmark compares with: greedy matching by falling score,
best remaining truth, precision envelope, mean over the classes with truth. Scores must not tie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from stad_lite.boxes import iou
from stad_lite.records import Annotations, Predictions
from stad_lite.tubes import Tube, tube_iou


def envelope_ap(hits: np.ndarray, num_truth: int) -> float:
    """Return the area under the precision envelope of hits by falling score."""
    true = np.cumsum(hits)
    recall, precision = true / num_truth, true / np.arange(1, len(hits) + 1)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def boxes_by_frame(videos: Any, classes: Sequence[str]) -> dict[str, dict[tuple[str, int], list[Any]]]:
    """Return {class: {(video, frame): [(score, box)]}} of tubes, or of frames where there are any."""
    found: dict[str, dict[tuple[str, int], list[Any]]] = {name: defaultdict(list) for name in classes}
    for name, video in videos.items():
        if video.frames is None:
            for tube in video.tubes or ():
                for frame, box in zip(tube.frames.tolist(), tube.boxes, strict=True):
                    found[tube.label][name, frame].append((tube.score or 0.0, box))
            continue
        rows = video.frames
        columns = zip(rows.frame.tolist(), rows.label.tolist(), rows.score.tolist(), rows.box, strict=True)
        for frame, label, score, box in columns:
            found[classes[label]][name, frame].append((score, box))
    return found


def frame_map(
    truth: dict[str, dict[tuple[str, int], list[Any]]],
    found: dict[str, dict[tuple[str, int], list[Any]]],
    threshold: float,
) -> float:
    """Return frame-mAP in points of two tables of ``boxes_by_frame``."""
    values = []
    for name, frames in truth.items():
        num_truth = sum(len(boxes) for boxes in frames.values())
        if not num_truth:
            continue
        scores, hits = [], []
        for key, detections in found[name].items():
            detections = sorted(detections, key=lambda row: -row[0])
            free = np.array([box for _, box in frames.get(key, ())]).reshape(-1, 4)
            for score, box in detections:
                hit = False
                if len(free):
                    overlaps = iou(box, free)
                    best = int(np.argmax(overlaps))
                    if overlaps[best] >= threshold:
                        hit, free = True, np.delete(free, best, 0)
                scores.append(score)
                hits.append(hit)
        order = np.argsort(-np.array(scores), kind="stable")
        values.append(envelope_ap(np.array(hits, dtype=bool)[order], num_truth))
    return 100 * float(np.mean(values))


def video_map(truth: Annotations, predictions: Predictions, threshold: float) -> float:
    """Return video-mAP in points."""
    values = []
    for name in truth.classes:
        free: dict[str, list[Tube]] = {
            video: [tube for tube in one.tubes or () if tube.label == name]
            for video, one in truth.videos.items()
        }
        num_truth = sum(len(tubes) for tubes in free.values())
        if not num_truth:
            continue
        detections = [
            (video, tube)
            for video, one in predictions.videos.items()
            for tube in one.tubes or ()
            if tube.label == name
        ]
        detections.sort(key=lambda row: -(row[1].score or 0.0))
        hits = np.zeros(len(detections), dtype=bool)
        for i, (video, tube) in enumerate(detections):
            if free[video]:
                overlaps = [tube_iou(tube, other) for other in free[video]]
                best = int(np.argmax(overlaps))
                if overlaps[best] >= threshold:
                    hits[i] = True
                    del free[video][best]
        values.append(envelope_ap(hits, num_truth))
    return 100 * float(np.mean(values))
