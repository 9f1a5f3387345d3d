"""Decoding and feeding of real video: CPU seconds of one thread, ratios within one run, memory.

OMP_NUM_THREADS=1 python -m benchmarks.bench_video --json benchmarks/results/video.json

Needs JHMDB-21's clips as .mp4 (STAD_DATA). The bare decoding is a loop over PyAV's frames that does
nothing with them. The consumer sleeps 100 ms a step, as a training step would take; a step starves when
its batch (4 clips of 16 frames, cropped, distorted, as I3D takes them) is not there within 10 ms. Waits
are wall time: on a machine that others use too they say less than the CPU time of a batch, of which two
workers have 200 ms a step.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import cpu_seconds, largest_memory, report
from stad_lite.data import clips, transforms, video
from stad_lite.data.location import find_data

SIZE = (112, 112)
AUGMENT = transforms.Augment((96, 96), crop="window")


def bare(path: Path) -> int:
    """Decode a video and drop its frames; their number."""
    av = video.load_av()
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def decoding(files: list[Path], rounds: int) -> dict[str, float]:
    """Return the ratios of reading to bare decoding, the median over rounds in turn."""
    plain, small, full = [], [], []
    for _ in range(rounds):
        plain.append(cpu_seconds(lambda: sum(bare(path) for path in files)))
        small.append(cpu_seconds(lambda: sum(len(video.read(path, size=SIZE)) for path in files)) / plain[-1])
        full.append(cpu_seconds(lambda: sum(len(video.read(path)) for path in files)) / plain[-1])
    frames = sum(bare(path) for path in files)
    return {
        "clips": len(files),
        "frames": frames,
        "bare decoding, ms a frame": round(1000 * float(np.median(plain)) / frames, 3),
        "to 112x112 over bare decoding": round(float(np.median(small)), 2),
        "to its own size over bare decoding": round(float(np.median(full)), 2),
    }


def make(run: clips.FrameRun, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An augmented clip as I3D takes it."""
    return transforms.to_unit(AUGMENT(transforms.sample(frames, numbers=run.frames), rng).frames)


def feeding(files: list[Path], workers: int, steps: int) -> dict[str, float]:
    """Return how often a consumer of a batch each 100 ms had to wait."""
    counts = {path.stem: len(video.read(path, size=(16, 16))) for path in files}
    runs = [run for path in files for run in clips.tubelets(path.stem, counts[path.stem], 16, stride=4)]
    reader = clips.VideoReader({path.stem: path for path in files}, SIZE)
    data = clips.ClipSet(runs, reader, make)
    load = max(0.0, os.getloadavg()[0] - 1)
    cost = cpu_seconds(lambda: [data[index] for index in clips.order(len(data), 1, 0)[: 4 * 10]]) / 10
    waits: list[float] = []
    epoch, size = 0, 0
    while len(waits) < steps:
        for batch in timed(clips.loader(data, 4, workers, epoch, collate=collate), waits):
            size = batch.nbytes
            if len(waits) >= steps:
                break
            time.sleep(0.1)
        epoch += 1
    steady = np.array(waits[5:])  # the first batches wait for the workers to start
    return {
        "workers": workers,
        "CPU ms of a batch": round(1000 * cost, 1),
        "megabytes of a batch": round(size / 2**20, 1),
        "load of the machine by others": round(load, 1),
        "steps": len(steady),
        "steps that waited more than 10 ms": int((steady > 0.01).sum()),
        "longest wait, ms": round(1000 * float(steady.max()), 1),
    }


def collate(items: list[np.ndarray]) -> Any:
    """A batch as one tensor, which workers hand over in shared memory."""
    import torch

    return torch.from_numpy(np.stack(items))


def timed(batches: Iterator[Any], waits: list[float]) -> Iterator[Any]:
    """Pass batches on and note how long each took to come."""
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        waits.append(time.perf_counter() - started)
        yield batch


def peak_megabytes() -> dict[str, float]:
    """Return the largest resident memory of this process and of its largest worker."""
    return {
        "peak of the process, MB": round(largest_memory() / 2**20),
        "peak of a worker, MB": round(largest_memory(workers=True) / 2**20),
    }


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=12, help="every n-th clip")
    parser.add_argument("--rounds", type=int, default=5, help="how often; the median counts")
    parser.add_argument("--steps", type=int, default=60, help="of the consumer")
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    folder = find_data("jhmdb21", "videos")
    if folder is None:
        raise SystemExit("JHMDB-21's clips are not here (jhmdb21/videos): set STAD_DATA")
    files = sorted(folder.glob("*/*.mp4"))[:: arguments.every]
    figures = {
        "decoding": decoding(files, arguments.rounds),
        "feeding": feeding(files, 2, arguments.steps),
        "memory": peak_megabytes(),
    }
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
