"""Tubes to label and to fit: real ones where the data is here, random walks otherwise."""

from pathlib import Path

import numpy as np

from stad_lite.data import ucf101_24
from stad_lite.data.location import find_data


def walk(generator: np.random.Generator, length: int) -> np.ndarray:
    """A tube like the real ones: whole pixels, half of its steps still, some jumps. (length, 4) xyxy."""
    step = generator.integers(-4, 5, (length, 4)) * (generator.random((length, 1)) < 0.55)
    step[generator.random(length) < 0.01] *= 8
    centre = np.array([160, 120]) + np.cumsum(step[:, :2], 0)
    half = np.clip(np.array([25, 50]) + np.cumsum(step[:, 2:] // 3, 0), 4, 100)
    return np.concatenate([centre - half, centre + half], -1).astype(np.float64)


def random_tubes(count: int, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    lengths = np.concatenate([np.arange(1, 21), generator.integers(21, 300, max(count - 20, 0))])[:count]
    return [walk(generator, int(length)) for length in lengths]


def real_tubes() -> list[np.ndarray]:
    """All boxes of UCF101-24, tube by tube; empty where the data is not here."""
    path = find_data("ucf101_24", "pyannot.pkl")
    if path is None:
        return []
    videos = ucf101_24.read_pickle(Path(path)).videos.values()
    return [tube.boxes for video in videos for tube in video.tubes or ()]
