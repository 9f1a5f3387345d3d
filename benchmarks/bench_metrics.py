"""How fast the metrics are, beside straightforward loops, on data of UCF101-24's size.

    python -m benchmarks.bench_metrics --json benchmarks/results/metrics.json    # about a minute
    python -m benchmarks.bench_metrics --memory     # 10 million detections: seconds and peak memory
    python -m benchmarks.bench_metrics --mmaction2 FOLDER    # a copy of its repository: also beside that

CPU seconds of one thread, reading and building the records left out but for the rows "from files"; ratios
within one run. hotcoco and faster-coco-eval (the extra ``bench``) run beside ours where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np

from benchmarks import evaluators
from benchmarks.measure import in_turn, largest_memory, report
from stad_lite.data.ucf101_24 import CLASSES
from stad_lite.metrics import evaluate
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
    read,
    write,
)
from stad_lite.records.exchange import activitynet
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


def make_segments(
    random: np.random.Generator,
    videos: int = 210,
    num_classes: int = 20,
    instances: int = 3358,
    detections: int = 10953,
) -> tuple[Annotations, Predictions]:
    """Segments and detections near them: as many as on THUMOS14's test, unless told."""
    classes = tuple(f"class {i:02d}" for i in range(num_classes))
    truth: dict[str, list[Segment]] = {f"video {i:03d}": [] for i in range(videos)}
    ours: dict[str, list[Segment]] = {name: [] for name in truth}
    names = list(truth)
    for i in range(instances):
        name, start = names[i % videos], float(random.uniform(0, 200))
        label = i % 7 + 7 * (i % videos % 2) if num_classes == 20 else i % num_classes
        truth[name].append(Segment(classes[label], start, start + 4.0))
    for i in range(detections):
        name = names[i % videos]
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


def from_files() -> dict[str, Any]:
    """Return frame-mAP from files and from arrays, ours and that of COCO's evaluators."""
    random = np.random.default_rng(1)
    truth = make_truth(random)
    few = make_frames(random, truth, per_frame=2)
    ours = Predictions(CLASSES, {name: few.videos[name] for name in list(few.videos)[:687]})
    rules = evaluators.COCO_RULES
    with tempfile.TemporaryDirectory() as folder:
        kinds = {kind: _written(truth, ours, Path(folder), kind) for kind in ("json", "npz")}
        coco = evaluators.write_coco(truth, ours, Path(folder))
        works: dict[str, Callable[[], Any]] = {
            f"ours, from .{kind}": lambda files=files: evaluate(*map(read, files), "frame-map", 0.5, rules)
            for kind, files in kinds.items()
        }
        works["ours, from arrays"] = lambda: evaluate(truth, ours, "frame-map", 0.5, rules)
        value, gaps = works["ours, from arrays"]().iou[0.5], {}
        for name, (load, run) in evaluators.coco_evaluators().items():
            loaded = load(*coco)
            gaps[name] = round(abs(run(loaded) - value), 6)
            works[f"{name}, from .json"] = lambda load=load, run=run: run(load(*coco))
            works[f"{name}, loaded"] = lambda run=run, loaded=loaded: run(loaded)
        seconds = in_turn(works, rounds=5)
    rows: dict[str, Any] = {name: {"cpu_seconds": round(taken, 3)} for name, taken in seconds.items()}
    for name, gap in gaps.items():
        rows[f"{name}, from .json"] |= {
            f"times_ours_from_{kind}": round(
                seconds[f"{name}, from .json"] / seconds[f"ours, from .{kind}"], 2
            )
            for kind in kinds
        }
        rows[f"{name}, loaded"]["times_ours"] = round(
            seconds[f"{name}, loaded"] / seconds["ours, from arrays"], 2
        )
        rows[f"{name}, loaded"]["gap_in_points"] = gap
    return rows


def _written(truth: Annotations, ours: Predictions, folder: Path, kind: str) -> tuple[Path, Path]:
    return write(truth, folder / f"truth.{kind}"), write(ours, folder / f"found.{kind}")


def segments_from_files(repository: Path) -> dict[str, Any]:
    """Return temporal mAP from ActivityNet's JSON at two sizes, ours and mmaction2's."""
    sizes = {
        "THUMOS14": ((210, 20, 3358, 10953), (0.3, 0.4, 0.5, 0.6, 0.7)),
        "ActivityNet": ((4728, 200, 7654, 47280), tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())),
    }
    rows = {}
    for name, (size, levels) in sizes.items():
        truth, ours = make_segments(np.random.default_rng(3), *size)
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "truth.json"), Path(folder, "found.json")
            activitynet.write_ground_truth(truth, files[0])
            activitynet.write_results(ours, files[1])
            theirs = evaluators.write_mmaction2(files[0], Path(folder, "theirs.json")), files[1]

            def score(files: tuple[Path, Path] = files, levels: tuple[float, ...] = levels) -> float:
                known, found = activitynet.read_ground_truth(files[0]), activitynet.read_results(files[1])
                result = evaluate(known.record, found.record, "temporal-map", levels, "thumos14")
                return float(np.mean(list(result.iou.values())))

            run = evaluators.mmaction2(repository, levels)
            gap = abs(score() - run(*theirs))
            ours_taken, loop = timed(score)[0], timed(lambda run=run, theirs=theirs: run(*theirs), 1)[0]
        rows[name] = {
            "detections": size[3],
            "cpu_seconds": round(ours_taken, 3),
            "mmaction2_cpu_seconds": round(loop, 3),
            "times_ours": round(loop / ours_taken, 1),
            "gap_in_points": round(gap, 4),
        }
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
    parser.add_argument(
        "--mmaction2", default="", help="a copy of mmaction2's repository, to run beside ours"
    )
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory()))
        return
    # in a process of its own, so that the peak is that of this alone
    command = [sys.executable, "-m", "benchmarks.bench_metrics", "--memory"]
    large = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=REPOSITORY)
    rows = {"compare": compare(), "scale": scale(), "frame-map from files": from_files()}
    if arguments.mmaction2:
        rows["temporal-map from files"] = segments_from_files(Path(arguments.mmaction2))
    report({**rows, "memory": json.loads(large.stdout)}, arguments.json)


if __name__ == "__main__":
    main()
