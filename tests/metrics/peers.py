"""Synthetic files on which the field's evaluators were run; the goldens hold what they gave.

Seeded, so that the same call gives the same file anywhere. Scores are all different, and no detection
overlaps two truths of its class equally: most of those evaluators leave the order of ties undefined.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube

CLASSES = ("dive", "fence", "run", "surf")
WIDTH, HEIGHT, FRAMES = 320, 240, 60


class _Maker:
    """Random boxes, tubes and scores of one file."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.ranks = self.random.permutation(1 << 14)
        self.given = 0

    def score(self) -> float:
        """A score that no other has, exact in single precision."""
        self.given += 1
        return float(1 + self.ranks[self.given]) / (1 << 15)

    def walk(self, length: int) -> np.ndarray:
        """(length, 4) boxes that drift, in tenths of a pixel."""
        centre = self.random.uniform((80, 60), (240, 180)) + np.cumsum(
            self.random.normal(0, 2, (length, 2)), 0
        )
        half = self.random.uniform(12, 40, 2)
        return self.inside(np.hstack([centre - half, centre + half]))

    def inside(self, boxes: np.ndarray) -> np.ndarray:
        """The boxes cut to the frame, at least 2 pixels wide."""
        low = np.clip(boxes[:, :2], 0, (WIDTH - 4, HEIGHT - 4))
        high = np.clip(boxes[:, 2:], low + 2, (WIDTH, HEIGHT))
        return np.round(np.hstack([low, high]), 1)

    def near(self, tube: Tube, noise: float) -> tuple[int, np.ndarray]:
        """Start and boxes of a tube like another, shifted in time and place."""
        start = int(np.clip(tube.start + self.random.integers(-3, 4), 0, FRAMES - 2))
        end = int(np.clip(tube.end + self.random.integers(-3, 4), start + 2, FRAMES))
        at = np.clip(np.arange(start, end), tube.start, tube.end - 1) - tube.start
        shift = self.random.normal(0, noise, 4)
        return start, self.inside(tube.boxes[at] + shift + self.random.normal(0, 0.5, (end - start, 4)))


def _truth(maker: _Maker, videos: int) -> Annotations:
    """Videos of one class each, with one to three tubes."""
    found = {}
    for index in range(videos):
        label = CLASSES[index % len(CLASSES)]
        tubes = []
        for _ in range(int(maker.random.integers(1, 4))):
            start = int(maker.random.integers(0, 20))
            length = int(maker.random.integers(20, FRAMES - start + 1))
            tubes.append(Tube(start, maker.walk(length), label))
        found[f"{label}/video_{index:02d}"] = VideoAnnotation(FRAMES, WIDTH, HEIGHT, 25.0, tubes=tuple(tubes))
    return Annotations("synthetic", CLASSES, dict(sorted(found.items())))


def tubes(seed: int = 1, videos: int = 24) -> tuple[Annotations, Predictions]:
    """Tubes: good ones, duplicates, badly placed ones, wrong classes and background."""
    maker = _Maker(seed)
    truth = _truth(maker, videos)
    found = {}
    for name, video in truth.videos.items():
        ours = []
        for tube in video.tubes or ():
            for noise in maker.random.choice([0.5, 2.0, 5.0, 12.0], int(maker.random.integers(0, 4))):
                start, boxes = maker.near(tube, float(noise))
                label = tube.label if maker.random.random() < 0.8 else str(maker.random.choice(CLASSES))
                ours.append(Tube(start, boxes, label, maker.score()))
        for _ in range(int(maker.random.integers(0, 3))):
            start = int(maker.random.integers(0, 30))
            boxes = maker.walk(int(maker.random.integers(2, 30)))
            ours.append(Tube(start, boxes, str(maker.random.choice(CLASSES)), maker.score()))
        found[name] = VideoPredictions(tubes=tuple(ours))
    return truth, Predictions(CLASSES, found)


def frames(seed: int = 2, videos: int = 8) -> tuple[Annotations, Predictions]:
    """Boxes on single frames, around the truth and elsewhere, also where nothing is annotated."""
    maker = _Maker(seed)
    truth = _truth(maker, videos)
    found = {}
    for name, video in truth.videos.items():
        rows = []
        for frame in range(FRAMES):
            boxes = [tube.boxes[frame - tube.start] for tube in video.tubes or () if frame in tube.frames]
            boxes = [box for box in boxes for _ in range(int(maker.random.integers(0, 3)))]
            boxes += list(maker.walk(int(maker.random.integers(0, 2))))
            for box in maker.inside(
                np.array(boxes).reshape(-1, 4) + maker.random.normal(0, 5, (len(boxes), 4))
            ):
                label = (
                    name.split("/")[0] if maker.random.random() < 0.8 else str(maker.random.choice(CLASSES))
                )
                rows.append((frame, CLASSES.index(label), box, maker.score()))
        columns = [np.array([row[i] for row in rows]) for i in range(4)]
        found[name] = VideoPredictions(frames=FrameBoxes(*columns))
    return truth, Predictions(CLASSES, found)


def key_frames(seed: int = 3, videos: int = 4) -> tuple[Annotations, Predictions]:
    """Boxes with several labels on key frames, as in AVA; some frames have over 50 detections."""
    maker = _Maker(seed)
    classes = tuple(str(code) for code in (1, 3, 4, 5, 6, 7))
    truth, found = {}, {}
    for index in range(videos):
        rows: list[tuple[int, int, np.ndarray]] = []
        ours: list[tuple[int, int, np.ndarray, float]] = []
        for second in range(902, 914):
            for _ in range(int(maker.random.integers(0, 4))):
                box = maker.walk(1)[0] / (WIDTH, HEIGHT, WIDTH, HEIGHT)
                codes = maker.random.permutation(len(classes))[: int(maker.random.integers(1, 4))]
                for code in codes:
                    rows.append((second, int(code), box))
                    for _ in range(int(maker.random.integers(0, 4))):
                        moved = box + maker.random.normal(0, 0.02, 4)
                        ours.append((second, int(code), moved, maker.score()))
            for _ in range(60 if second % 6 == 0 else 5):
                low = np.round(maker.random.uniform(0, 0.5, 2), 3)
                box = np.hstack([low, np.round(low + maker.random.uniform(0.1, 0.5, 2), 3)])
                ours.append((second, int(maker.random.integers(len(classes))), box, maker.score()))
        name = f"video_{index}"
        columns = [np.array([row[i] for row in rows]) for i in range(3)]
        truth[name] = VideoAnnotation(width=1, height=1, frames=FrameBoxes(*columns))
        found[name] = VideoPredictions(
            frames=FrameBoxes(*(np.array([row[i] for row in ours]) for i in range(4)))
        )
    return Annotations("synthetic", classes, truth), Predictions(classes, found)


def segments(seed: int = 4, videos: int = 20) -> tuple[Annotations, Predictions]:
    """Segments in seconds; two videos have no truth, some truths have no length."""
    maker = _Maker(seed)
    truth: dict[str, VideoAnnotation] = {}
    found: dict[str, VideoPredictions] = {}
    for index in range(videos):
        spans, ours = [], []
        for _ in range(int(maker.random.integers(1, 6))):
            start = float(np.round(maker.random.uniform(0, 90), 2))
            length = 0.0 if maker.random.random() < 0.05 else float(np.round(maker.random.uniform(1, 20), 2))
            label = str(maker.random.choice(CLASSES))
            spans.append(Segment(label, start, start + length))
            for _ in range(int(maker.random.integers(0, 4))):
                low = max(0.0, start + float(np.round(maker.random.normal(0, 2), 2)))
                high = low + max(0.0, length + float(np.round(maker.random.normal(0, 2), 2)))
                other = label if maker.random.random() < 0.85 else str(maker.random.choice(CLASSES))
                ours.append(Segment(other, low, high, maker.score()))
        name = f"video_{index:02d}"
        if index >= 2:
            truth[name] = VideoAnnotation(duration=120.0, segments=tuple(spans))
        found[name] = VideoPredictions(segments=tuple(ours))
    return Annotations("synthetic", CLASSES, truth), Predictions(CLASSES, found)


def written_key_frames() -> tuple[Annotations, Predictions]:
    """``key_frames`` with scores of four decimals, as many as mmaction2 writes."""
    truth, found = key_frames()
    scores = np.concatenate([video.frames.score for video in found.videos.values() if video.frames])
    ranks = np.argsort(np.argsort(scores)) + 1
    videos, first = {}, 0
    for name, video in found.videos.items():
        assert video.frames is not None
        mine = ranks[first : first + len(video.frames)] / 10_000
        videos[name] = replace(video, frames=replace(video.frames, score=mine))
        first += len(video.frames)
    return truth, Predictions(found.classes, videos)


def repeated_segments(seed: int = 5, videos: int = 12) -> tuple[Annotations, Predictions]:
    """Segments of which some are given again, some hardly later, some hardly long; a class without truth."""
    maker = _Maker(seed)
    truth: dict[str, VideoAnnotation] = {}
    found: dict[str, VideoPredictions] = {}
    for index in range(videos):
        spans, ours = [], []
        for _ in range(int(maker.random.integers(2, 6))):
            start = float(np.round(maker.random.uniform(0, 90), 2))
            length = float(maker.random.choice([0.0, 0.0004, 0.0015, 3.0, 8.0, 20.0]))
            label = CLASSES[int(maker.random.integers(1, 4))]
            for _ in range(int(maker.random.integers(1, 4))):
                late, longer = maker.random.choice([0.0, 0.0004, 0.0009, 0.002, 0.6], 2)
                spans.append(Segment(label, start + late, start + late + length + longer))
            for _ in range(int(maker.random.integers(0, 4))):
                low = max(0.0, start + float(np.round(maker.random.normal(0, 1), 2)))
                high = low + max(0.0, length + float(np.round(maker.random.normal(0, 1), 2)))
                ours.append(
                    Segment(str(maker.random.choice([*CLASSES, label, label])), low, high, maker.score())
                )
        name = f"video_{index:02d}"
        truth[name] = VideoAnnotation(duration=120.0, segments=tuple(spans))
        found[name] = VideoPredictions(segments=tuple(ours))
    return Annotations("synthetic", CLASSES, truth), Predictions(CLASSES, found)
