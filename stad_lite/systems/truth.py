"""What is true in an item: actors on its frames, boxes of key frames, segments of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.data.source import VideoSource
from stad_lite.records import Annotations, FrameBoxes, Segment, VideoAnnotation
from stad_lite.tubes import Tube


@dataclass(frozen=True)
class Truth:
    """The actors of one item, one row an actor, one box a frame.

    boxes: (g, t, 4) xyxy pixels, zeros where an actor is not there
    present: (g, t) bool
    labels: (g, classes) 0 or 1
    valid: (g,) bool, whether the actor counts
    """

    boxes: np.ndarray
    present: np.ndarray
    labels: np.ndarray
    valid: np.ndarray

    def mirrored(self, width: int) -> Truth:
        """Return the truth as a mirror shows it, in frames of a width in pixels."""
        turned = box_ops.mirrored(self.boxes, width)
        return replace(self, boxes=np.where(self.present[..., None], turned, 0.0))

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields as a batch holds them; ``truth`` are the boxes."""
        return {
            "truth": torch.as_tensor(self.boxes, dtype=torch.float32),
            "present": torch.as_tensor(self.present),
            "labels": torch.as_tensor(self.labels, dtype=torch.float32),
            "valid": torch.as_tensor(self.valid),
        }


def truth_of(
    video: VideoAnnotation, classes: Sequence[str], numbers: np.ndarray, inside: np.ndarray
) -> Truth:
    """Return the actors on some frames of a video; those that are on none are left out.

    Boxes on single frames (AVA) stand on their frame alone; those of one place with several labels are one.

    numbers: (t,) frame numbers
    inside: (t,) False where a frame only fills up
    """
    actors = []
    for tube in video.tubes or ():
        there = inside & (numbers >= tube.start) & (numbers < tube.end)
        boxes = np.zeros((len(numbers), 4))
        boxes[there] = tube.boxes[numbers[there] - tube.start]
        actors.append((boxes, there, {list(classes).index(tube.label)}))
    actors += _on_single_frames(video, numbers, inside)
    chosen = [actor for actor in actors if actor[1].any()]
    count, places = len(chosen), len(numbers)
    rows = [[index in labels for index in range(len(classes))] for _, _, labels in chosen]
    return Truth(
        np.array([boxes for boxes, _, _ in chosen]).reshape(count, places, 4),
        np.array([there for _, there, _ in chosen], dtype=bool).reshape(count, places),
        np.array(rows, dtype=float).reshape(count, len(classes)),
        np.ones(count, dtype=bool),
    )


def _on_single_frames(
    video: VideoAnnotation, numbers: np.ndarray, inside: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, set[int]]]:
    """An actor for every box on a single frame, with all its labels."""
    if video.frames is None:
        return []
    labels: dict[tuple[float, ...], set[int]] = {}
    for frame, label, box in zip(video.frames.frame, video.frames.label, video.frames.box, strict=True):
        labels.setdefault((int(frame), *box.tolist()), set()).add(int(label))
    found = []
    for (frame, *box), names in labels.items():
        there = inside & (numbers == frame)
        found.append((np.where(there[:, None], np.array(box), 0.0), there, names))
    return found


class TrueBoxes(NamedTuple):
    """The annotated boxes of a batch of frames.

    boxes: (b, m, 4) xyxy pixels, zeros where a frame has fewer
    labels: (b, m) class indices, -1 where a frame has fewer
    """

    boxes: Tensor
    labels: Tensor


PADDING = {"boxes": 0, "labels": -1}
"""What fills up ``TrueBoxes``."""


def boxes_on(video: VideoAnnotation, frame: int, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the true boxes (m, 4) xyxy pixels and class indices (m,) on a frame."""
    tubes = [tube for tube in video.tubes or () if tube.start <= frame < tube.end]
    boxes = [tube.boxes[frame - tube.start] for tube in tubes]
    labels = [list(classes).index(tube.label) for tube in tubes]
    if video.frames is not None:
        on = video.frames.frame == frame
        boxes, labels = boxes + list(video.frames.box[on]), labels + video.frames.label[on].tolist()
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(labels, dtype=np.int64)


def is_boxed(video: VideoAnnotation) -> bool:
    """Tell whether a video says where its actors are, be it that it says there are none.

    One of segments alone does not: its frames are no background.
    """
    boxes = bool(video.tubes) or (video.frames is not None and len(video.frames) > 0)
    told = video.tubes is not None or video.frames is not None
    return boxes or (told and not video.segments)


def known_frames(video: VideoAnnotation) -> np.ndarray | None:
    """Return the numbers of the frames whose actors are known, None for all.

    Tubes tell of every frame, boxes on single frames of theirs and of those that evaluation looks at.
    """
    if video.tubes or video.frames is None:
        return None
    if video.evaluated_frames is None:
        return np.unique(video.frames.frame)
    return np.union1d(video.frames.frame, video.evaluated_frames)


def actor_tubes(video: VideoAnnotation, classes: Sequence[str]) -> tuple[Tube, ...]:
    """Return a video's tubes, and those that its boxes on single frames make.

    Boxes of one class on neighbouring frames are one tube where they are the same person's, or overlap by
    half where persons are not told (the best pairs first).
    """
    boxes, found = video.frames, list(video.tubes or ())
    live: list[tuple[int, int, list[int]]] = []
    for frame in [] if boxes is None else np.unique(boxes.frame).tolist():
        assert boxes is not None
        rows = np.flatnonzero(boxes.frame == frame)
        before, live = live, []
        pairs = [
            (_likeness(boxes, members[-1], row), old, row)
            for old, (label, last, members) in enumerate(before)
            for row in rows.tolist()
            if last == frame - 1 and label == boxes.label[row]
        ]
        gone: set[int] = set()
        for likeness, old, row in sorted(pairs, key=lambda pair: -pair[0]):
            if likeness >= 0.5 and old not in gone and row in rows:
                gone.add(old)
                rows = rows[rows != row]
                live.append((before[old][0], frame, [*before[old][2], row]))
        live += [(int(boxes.label[row]), frame, [row]) for row in rows.tolist()]
        found += [_tube(boxes, one, classes) for old, one in enumerate(before) if old not in gone]
    return (*found, *(_tube(boxes, one, classes) for one in live if boxes is not None))


def _likeness(boxes: FrameBoxes, one: int, other: int) -> float:
    if boxes.person is not None:
        return float(boxes.person[one] == boxes.person[other])
    return float(box_ops.iou(boxes.box[one], boxes.box[other]))


def _tube(boxes: FrameBoxes, part: tuple[int, int, list[int]], classes: Sequence[str]) -> Tube:
    label, _, rows = part
    return Tube(int(boxes.frame[rows[0]]), boxes.box[rows], classes[label])


def key_frames(source: VideoSource, every: int = 1) -> tuple[tuple[str, int], ...]:
    """Return (video, frame) of all frames that hold a true box.

    every: keep each ``every``-th frame of a video
    """
    places = []
    for name, video in source.annotations.videos.items():
        held = {frame for tube in video.tubes or () for frame in tube.frames.tolist()}
        if video.frames is not None:
            held |= set(video.frames.frame.tolist())
        places += [(name, frame) for frame in sorted(held) if frame % every == 0]
    return tuple(places)


def is_trimmed(source: VideoSource) -> bool:
    """Tell whether every video's tubes last from its first frame to its last."""
    return all(
        (tube.start, tube.end) == (0, video.num_frames)
        for video in source.annotations.videos.values()
        for tube in video.tubes or ()
    )


def segments_of(video: VideoAnnotation, fps: float) -> tuple[Segment, ...]:
    """Return a video's segments; those of its tubes where it has tubes in place of segments.

    fps: frames a second of a video that does not know when its frames are shown (``times``)
    """
    if video.segments is not None:
        return video.segments
    tubes = video.tubes or ()
    return tuple(Segment(tube.label, *video.seconds([tube.start, tube.end], fps).tolist()) for tube in tubes)


def segment_truth(source: Any) -> Annotations:
    """Return a source's annotations with every video's segments, those of its tubes where it has tubes.

    Temporal metrics compare predicted segments with it.
    """
    truth = source.annotations
    videos = {
        name: replace(video, segments=segments_of(video, source.fps(name)), tubes=None, frames=None)
        for name, video in truth.videos.items()
    }
    return Annotations(truth.dataset, truth.classes, videos)
