"""How fast the synthetic benchmark renders, in clips a CPU-second of one thread.

OMP_NUM_THREADS=1 python -m benchmarks.bench_synthetic
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from benchmarks.measure import report
from stad_lite.data.synthetic import Settings, annotate, render

TARGET = 12.0
"""Clips of 32x64x64 with flow a core-second that the benchmark is meant to reach."""


def clips_a_second(settings: Settings, clips: int) -> float:
    """Return the clips rendered in a CPU-second, after one to warm up."""
    render(settings, seed=clips)
    started = time.process_time()
    for seed in range(clips):
        render(settings, seed)
    return clips / (time.process_time() - started)


def annotations_a_second(settings: Settings, clips: int) -> float:
    """Return the clips whose truth is computed in a CPU-second, without a frame."""
    started = time.process_time()
    annotate(settings, clips)
    return clips / (time.process_time() - started)


def main() -> None:
    """Measure and report the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    clips = arguments.clips
    lesson, large = Settings.lesson(), Settings.large()
    few = max(clips // 5, 1)
    figures = {
        "32x64x64 with flow": clips_a_second(lesson, clips),
        "32x64x64 without flow": clips_a_second(replace(lesson, flow=False), clips),
        "64x112x112 with flow": clips_a_second(large, few),
        "64x112x112 without flow": clips_a_second(replace(large, flow=False), few),
        "32x64x64 truth only": annotations_a_second(lesson, clips),
        "target for 32x64x64 with flow": TARGET,
    }
    report({name: round(value, 2) for name, value in figures.items()}, arguments.json)


if __name__ == "__main__":
    main()
