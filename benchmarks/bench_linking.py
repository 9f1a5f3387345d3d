"""Linking one video of 300 frames, 100 boxes a frame, 24 classes: CPU seconds of one thread, ratios.

OMP_NUM_THREADS=1 python -m benchmarks.bench_linking --json benchmarks/results/linking.json

A hundred jittered actors, every box scored at random for every class: nothing is sparse, so a
detector's output is easier. The slow version is ``tests.oracles.linking`` on one class, its time
scaled to all; both are timed in this one run, and the fast one must give the slow one's tubes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.measure import cpu_seconds, report
from stad_lite import linking
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from tests.oracles import linking as slow


def video(frames: int, boxes: int, classes: int, length: int = 1, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return frame (n,), boxes (n, length, 4) and scores (n, classes) of a made-up detector."""
    random = np.random.default_rng(seed)
    first, speed = random.uniform(40, 280, (boxes, 2)), random.normal(0, 1, (boxes, 2))
    time_of = np.arange(frames)[:, None, None, None] + np.arange(length)[:, None]
    centre = first[:, None] + speed[:, None] * time_of + random.normal(0, 2, (frames, boxes, length, 2))
    half = random.uniform(15, 30, (frames, boxes, length, 2))
    corners = np.concatenate([centre - half, centre + half], axis=-1)
    scores = random.random((frames * boxes, classes))
    return np.repeat(np.arange(frames), boxes), corners.reshape(-1, length, 4), scores


def same(fast: linking.Linked, literal: list[slow.Slow]) -> bool:
    """Tell whether the tubes are the same but for rounding."""
    ours = sorted((tube.start, len(tube), round(float(tube.score or 0), 9)) for tube in fast.tubes)
    return ours == sorted((one.start, len(one.boxes), round(one.score, 9)) for one in literal)


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--boxes", type=int, default=100, help="a frame")
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--json", default="", help="file to write")
    a = parser.parse_args()
    frame, boxes, scores = video(a.frames, a.boxes, a.classes)
    rows = FrameBoxes(
        np.repeat(frame, a.classes),
        np.tile(np.arange(a.classes), len(frame)),
        np.repeat(boxes[:, 0], a.classes, axis=0),
        scores.reshape(-1),
    )
    names = tuple(map(str, range(a.classes)))
    record = Predictions(names, {"video": VideoPredictions(frames=rows)})
    figures: dict[str, Any] = {"frames": a.frames, "boxes a frame": a.boxes, "classes": a.classes}
    for method, presets in linking.PRESETS.items():
        for name in presets:
            taken = cpu_seconds(lambda method=method, name=name: linking.link(record, method, name), a.rounds)
            figures[f"link a record, {method} {name}, CPU-s"] = round(taken, 3)

    def stepped() -> None:
        linker = linking.OnlineLinker(a.classes)
        for now in range(a.frames):
            linker.step(now, boxes[frame == now, 0], scores[frame == now])
        linker.tubes()

    figures["OnlineLinker frame by frame, CPU-s"] = round(cpu_seconds(stepped, a.rounds), 3)
    online, tubelets = linking.OnlineConfig.road(), replace(linking.TubeletConfig.act(), tube_nms=None)
    moving = video(a.frames, a.boxes, a.classes, length=6)
    cases: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "online road": (
            lambda s: linking.link_online(linking.from_scores(frame, boxes, s), online),
            lambda s: slow.online(frame, boxes[:, 0], s, online),
        ),
        "tubelets act, 6 frames": (
            lambda s: linking.link_tubelets(linking.Tubelets(*moving[:2], s), tubelets),
            lambda s: slow.tubelets(*moving[:2], s, tubelets),
        ),
    }
    for name, (fast, literal) in cases.items():
        taken = cpu_seconds(lambda fast=fast: fast(scores), a.rounds)
        one = cpu_seconds(lambda literal=literal: literal(scores[:, :1]))
        assert same(fast(scores[:, :1]), literal(scores[:, :1])), f"{name}: fast and slow differ"
        figures[f"arrays, {name}, CPU-s"] = round(taken, 3)
        figures[f"times faster than the literal algorithm, {name}"] = round(one * a.classes / taken, 1)
    report(figures, a.json)


if __name__ == "__main__":
    main()
