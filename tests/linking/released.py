"""Seeded detections on which the released linkers of MOC and 3D-RetinaNet were run; see ``goldens``."""

from __future__ import annotations

import numpy as np


def tubelets(seed: int = 0, frames: int = 30, length: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts (n,), boxes (n, length, 4) and scores (n, 2): walkers seen often, and clutter around them."""
    random = np.random.default_rng(seed)
    starts, boxes, scores = [], [], []
    paths = [np.cumsum(random.normal(0, 1.5, (frames, 2)), 0) + random.uniform(60, 160, 2) for _ in range(3)]
    for start in range(frames - length + 1):
        for path in paths:
            for _ in range(int(random.integers(0, 4))):
                centre = path[start : start + length] + random.normal(0, 3, 2)
                half = random.uniform(14, 24, 2)
                starts.append(start)
                boxes.append(np.hstack([centre - half, centre + half]).round(2))
                scores.append(random.uniform(0.05, 0.9, 2).round(5))
    return np.array(starts), np.array(boxes), np.array(scores)


def actors(seed: int = 1, frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (n,), boxes (n, 4), scores (n,): walkers seen on four frames of five, and clutter."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(8):
        centre, half = random.uniform(40, 200, 2), random.uniform(15, 40, 2)
        start, sure = int(random.integers(0, 30)), random.uniform(0.2, 0.9)
        for frame in range(start, min(frames, start + int(random.integers(8, 30)))):
            centre = centre + random.normal(0, 2, 2)
            if random.random() < 0.8:
                rows.append((frame, *(centre - half), *(centre + half), sure + random.uniform(-0.1, 0.1)))
    for _ in range(80):
        centre, half = random.uniform(40, 200, 2), random.uniform(15, 40, 2)
        frame = int(random.integers(frames))
        rows.append((frame, *(centre - half), *(centre + half), random.uniform(0.11, 0.2)))
    table = np.array(rows).round(5)
    return table[:, 0].astype(int), table[:, 1:5], table[:, 5]
