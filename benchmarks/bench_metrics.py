"""How fast the metrics are, beside straightforward loops, on data of UCF101-24's size.

    python -m benchmarks.bench_metrics --json benchmarks/results/metrics.json    # about a minute
    python -m benchmarks.bench_metrics --memory     # 10 million detections: seconds and peak memory

CPU seconds of one thread, reading and building the records left out; ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.measure import largest_memory, report
from stad_lite.data.ucf101_24 import CLASSES
from stad_lite.metrics import evaluate
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.tubes import Tube
from tests.oracles import metrics_loop

REPOSITORY = Path(__file__).resolve().parent.parent
VIDEOS, FRAMES, FPS = 910, 175, 25


def walk(random: np.random.Generator, length: int) -> np.ndarray:
    """(length, 4) boxes that drift in a 320 x 240 frame."""
    centre = random.uniform((60, 60), (260, 180)) + np.cumsum(random.normal(0, 1, (length, 2)), 0)
    half = random.uniform(10, 50, 2)
    boxes = np.hstack([centre - half, centre + half])
    boxes[:, :2] = boxes[:, :2].clip(0, (310, 230))
    boxes[:, 2:] = np.maximum(boxes[:, 2:].clip(0, (320, 240)), boxes[:, :2] + 2)
    return boxes


def make_truth(random: np.random.Generator) -> Annotations:
    """910 videos of 175 frames with 1.45 tubes each (split 1, test: 159,289 frames, 1,315 tubes)."""
    videos = {}
    for index in range(VIDEOS):
        label = CLASSES[index % len(CLASSES)]
        tubes = []
        for _ in range(1 + int(random.random() < 0.45)):
            start = int(random.integers(0, 60))
            tubes.append(Tube(start, walk(random, int(random.integers(80, FRAMES - start))), label))
        videos[f"{label}/{index:04d}"] = VideoAnnotation(FRAMES, 320, 240, FPS, tubes=tuple(tubes))
    return Annotations("ucf101-24", CLASSES, videos)


def make_frames(random: np.random.Generator, truth: Annotations, per_frame: int) -> Predictions:
    """Detections on every frame: some around the truth, the others anywhere, of any class."""
    videos = {}
    for name, video in truth.videos.items():
        count = per_frame * FRAMES
        low = random.uniform(0, (280, 200), (count, 2))
        box = np.hstack([low, low + random.uniform(10, 40, (count, 2))])
        frame = np.repeat(np.arange(FRAMES), per_frame)
        label = random.integers(0, len(CLASSES), count)
        for tube in video.tubes or ():
            at = tube.frames * per_frame + int(random.integers(0, per_frame))
            box[at] = tube.boxes + np.abs(random.normal(0, 4, tube.boxes.shape)) * (-1, -1, 1, 1)
            label[at] = CLASSES.index(tube.label)
        videos[name] = VideoPredictions(frames=FrameBoxes(frame, label, box, random.random(count)))
    return Predictions(CLASSES, videos)


def make_tubes(random: np.random.Generator, truth: Annotations, per_video: int) -> Predictions:
    """Tubes of any class, the first of them like the truth."""
    videos = {}
    for name, video in truth.videos.items():
        tubes = []
        for place in range(per_video):
            model = (video.tubes or ())[place % len(video.tubes or ())]
            boxes = model.boxes + random.normal(0, 0.4, (len(model), 4)) * (1 + 4 * place)
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
            label = model.label if place < 3 else str(random.choice(CLASSES))
            tubes.append(Tube(model.start, boxes, label, float(random.random())))
        videos[name] = VideoPredictions(tubes=tuple(tubes))
    return Predictions(CLASSES, videos)


def make_segments(random: np.random.Generator) -> tuple[Annotations, Predictions]:
    """210 videos, 20 classes, 3,358 instances, 10,953 detections (THUMOS14 test)."""
    classes = tuple(f"class {i:02d}" for i in range(20))
    truth: dict[str, list[Segment]] = {f"video {i:03d}": [] for i in range(210)}
    ours: dict[str, list[Segment]] = {name: [] for name in truth}
    names = list(truth)
    for i in range(3358):
        name, start = names[i % 210], float(random.uniform(0, 200))
        truth[name].append(Segment(classes[i % 7 + 7 * (i % 210 % 2)], start, start + 4.0))
    for i in range(10953):
        name = names[i % 210]
        model = truth[name][int(random.integers(len(truth[name])))]
        start, length = model.start + float(random.normal(0, 1)), float(random.uniform(2, 6))
        ours[name].append(Segment(model.label, start, start + length, float(random.random())))
    return (
        Annotations(
            "thumos14", classes, {n: VideoAnnotation(segments=tuple(row)) for n, row in truth.items()}
        ),
        Predictions(classes, {n: VideoPredictions(segments=tuple(row)) for n, row in ours.items()}),
    )


def timed(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """Return the least CPU seconds of some runs and the last result."""
    seconds, result = [], None
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def compare() -> dict[str, Any]:
    """Return seconds and ratios; the loops must give the same values."""
    random = np.random.default_rng(0)
    truth = make_truth(random)
    rows: dict[str, Any] = {}

    frames = make_frames(random, truth, per_frame=12)
    ours, result = timed(lambda: evaluate(truth, frames, "frame-map", 0.5))
    tables = [metrics_loop.boxes_by_frame(record.videos, CLASSES) for record in (truth, frames)]
    loop, value = timed(lambda: metrics_loop.frame_map(*tables, 0.5), repeat=1)
    rows["frame-map"] = _row(result.num_predictions, 1, ours, loop, abs(value - result.iou[0.5]))
    rows["frame-map"]["detections_a_video_second"] = 12 * FPS

    tubes = make_tubes(random, truth, per_video=24)
    levels = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
    ours, result = timed(lambda: evaluate(truth, tubes, "video-map", levels))
    loop, values = timed(lambda: [metrics_loop.video_map(truth, tubes, level) for level in levels], repeat=1)
    gap = max(abs(a - b) for a, b in zip(values, result.iou.values(), strict=True))
    rows["video-map"] = _row(result.num_predictions, 10, ours, loop, gap)
    return rows


def _row(detections: int, levels: int, ours: float, loop: float, gap: float) -> dict[str, Any]:
    assert gap < 1e-9, f"the loop gives another value, by {gap}"
    return {
        "detections": detections,
        "thresholds": levels,
        "cpu_seconds": round(ours, 3),
        "loop_cpu_seconds": round(loop, 2),
        "times_faster": round(loop / ours, 1),
    }


def scale() -> dict[str, Any]:
    """Return CPU seconds at the sizes at which public evaluators were timed."""
    random = np.random.default_rng(1)
    truth = make_truth(random)
    few = make_frames(random, truth, per_frame=2)
    some = {name: few.videos[name] for name in list(few.videos)[:687]}  # 240,450 boxes
    boxes = Predictions(CLASSES, some)
    tubes = make_tubes(random, truth, per_video=3)
    levels = tuple(round(0.05 + 0.05 * step, 2) for step in range(14))
    segments = make_segments(random)
    work: dict[str, Callable[[], Any]] = {
        "frame-map at .5": lambda: evaluate(truth, boxes, "frame-map", 0.5),
        "video-map at 14 thresholds": lambda: evaluate(truth, tubes, "video-map", levels),
        "temporal-map at 5 thresholds": lambda: evaluate(*segments, "temporal-map", "0.3:0.7:0.1"),
    }
    rows = {}
    for name, run in work.items():
        seconds, result = timed(run, repeat=5)
        rows[name] = {"detections": result.num_predictions, "cpu_seconds": round(seconds, 3)}
    return rows


def memory() -> dict[str, Any]:
    """Return seconds and peak memory of frame-mAP on 10 million detections, records included."""
    random = np.random.default_rng(2)
    truth = make_truth(random)
    predictions = make_frames(random, truth, per_frame=63)
    before = largest_memory() / 2**30
    seconds, result = timed(lambda: evaluate(truth, predictions, "frame-map", 0.5), repeat=1)
    peak = largest_memory() / 2**30
    return {
        "detections": result.num_predictions,
        "cpu_seconds": round(seconds, 2),
        "peak_gib": round(peak, 2),
        "of_that_records_gib": round(before, 2),
    }


def main() -> None:
    """Run the benchmark and report its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="only 10 million detections, as JSON")
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory()))
        return
    # in a process of its own, so that the peak is that of this alone
    command = [sys.executable, "-m", "benchmarks.bench_metrics", "--memory"]
    large = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=REPOSITORY)
    report({"compare": compare(), "scale": scale(), "memory": json.loads(large.stdout)}, arguments.json)


if __name__ == "__main__":
    main()
