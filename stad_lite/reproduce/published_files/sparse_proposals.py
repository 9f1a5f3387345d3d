"""How long the instances of THUMOS14 and ActivityNet-1.3 last: the chapter *Sparse proposals*."""

from __future__ import annotations

import numpy as np
import torch

from stad_lite.data import activitynet13, statistics, thumos14
from stad_lite.data.location import find_data, have_data, missing_message
from stad_lite.reproduce.results import Results
from stad_lite.sp_tad.pyramid import pyramid_level

WINDOW, FPS = 25.6, 10
"""Seconds and frames a second of a window."""
LEVELS = 4
FRAMES = (224, 256, 288, 320)
"""Windows of Table 8."""


def measure(results: Results) -> list[str]:
    """Add levels, lengths and the histograms of Fig. 4; return a sentence for each set that is missing."""
    absent = [missing_message(name) for name in ("thumos14", "activitynet13") if not have_data(name)]
    folder, other = find_data("thumos14"), find_data("activitynet")
    if folder and have_data("thumos14"):
        real = {part: thumos14.load(folder, part).record for part in ("validation", "test")}
        lasting = {part: statistics.durations(record) for part, record in real.items()}
        for part, seconds in lasting.items():
            _levels(results, part, seconds)
        every = np.concatenate([*lasting.values()])
        for frames in FRAMES:
            share = 100 * (every < frames / FPS).mean()
            results.add(f"instances shorter than {frames} frames", share, "%", "thumos14", "SP-TAD Table 8")
        _histogram(
            results, "THUMOS14", "thumos14", statistics.share_histogram(real["validation"], window=WINDOW)
        )
    if other and have_data("activitynet13"):
        shares = statistics.share_histogram(activitynet13.load(other, "training").record)
        _histogram(results, "ActivityNet-1.3", "activitynet13", shares)
    return absent


def _levels(results: Results, part: str, seconds: np.ndarray) -> None:
    """Which level instances read by Eq. 1."""
    read = pyramid_level(torch.as_tensor(seconds / WINDOW), LEVELS)
    for level, share in enumerate(torch.bincount(read, minlength=LEVELS) / len(seconds)):
        name = f"instances that level {level} reads, {part}"
        results.add(name, 100 * share, "%", "thumos14", "SP-TAD Eq. 1, Sec. 4.4.2")


def _histogram(results: Results, name: str, data: str, shares: np.ndarray) -> None:
    for bar, value in enumerate(100 * shares):
        results.add(f"Fig. 4, {name}, from {5 * bar} %", value, "%", data, "SP-TAD Fig. 4")
