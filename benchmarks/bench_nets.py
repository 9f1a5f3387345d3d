"""RoIAlign, suppression and I3D on one thread of the CPU: CPU time, best of a few rounds.

OMP_NUM_THREADS=1 python -m benchmarks.bench_nets --json benchmarks/results/nets.json

With onnxruntime on the path (see roi_align_reference.py) RoIAlign is compared with it in the same run;
without it that ratio is left out. I3D's operations are counted by torch.utils.flop_counter, its time is
set against a matrix product's in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import report
from benchmarks.roi_align_reference import reference
from stad_lite import boxes
from stad_lite.align import roi_align
from stad_lite.nets.i3d import I3D


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the fewest CPU seconds that a call takes, after one to warm up."""
    work()
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def align(rounds: int) -> dict[str, float]:
    """1,000 boxes of 2 to 14 cells on one map of 256 x 25 x 25, to 7 x 7 with two samples a bin."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 256, 25, 25, generator=generator)
    centre, side = (
        25 * torch.rand(1000, 2, generator=generator),
        2 + 12 * torch.rand(1000, 2, generator=generator),
    )
    found = torch.cat([centre - side / 2, centre + side / 2], 1).clamp(0, 25)
    index = torch.zeros(1000, dtype=torch.long)
    figures = {}
    for samples in (2, 0):
        ours = cpu_seconds(lambda n=samples: roi_align(maps, found, index, 7, samples=n), rounds)
        kind = f"{samples or 'adaptive'} samples"
        figures[f"RoIAlign of 1,000 boxes, {kind}, ms"] = round(1e3 * ours, 1)
        try:
            other = reference((7, 7), samples, aligned=True)
        except ImportError:
            continue
        arrays = maps.numpy(), found.numpy(), index.numpy()
        theirs = cpu_seconds(lambda run=other, given=arrays: run(*given), rounds)
        figures[f"RoIAlign, {kind}: times onnxruntime's"] = round(ours / theirs, 2)
    return figures


def clustered() -> tuple[np.ndarray, np.ndarray]:
    """Return 20 boxes around each of 250 objects in 320 x 240 pixels, and scores."""
    random = np.random.default_rng(0)
    centre = random.uniform([20, 20], [300, 220], size=(250, 1, 2))
    size = random.uniform(20, 120, size=(250, 1, 2))
    shift = random.normal(0, 0.205, size=(250, 20, 4))
    places = np.concatenate([centre + shift[..., :2] * size, size * np.exp(shift[..., 2:])], -1)
    return boxes.cxcywh_to_xyxy(places.reshape(-1, 4)), random.uniform(size=5000)


def spread() -> tuple[np.ndarray, np.ndarray]:
    """Return 5,000 boxes of 6 to 34 pixels anywhere in 320 x 240, and scores."""
    random = np.random.default_rng(0)
    places = np.concatenate(
        [random.uniform([0, 0], [320, 240], size=(5000, 2)), random.uniform(6, 34, size=(5000, 2))], 1
    )
    return boxes.cxcywh_to_xyxy(places), random.uniform(size=5000)


def one_by_one(found: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Return the same as ``boxes.nms``, each box against all that are left."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size:
        kept.append(int(order[0]))
        order = order[1:][boxes.iou(found[order[0]], found[order[1:]]) <= threshold]
    return kept


def suppression(rounds: int) -> dict[str, float]:
    """5,000 boxes at an IoU of .5: many around few objects, and all over the image."""
    figures = {}
    for kind, (found, scores) in (("clustered", clustered()), ("spread", spread())):
        kept = boxes.nms(found, scores, 0.5)
        assert kept.tolist() == one_by_one(found, scores, 0.5)
        taken = cpu_seconds(lambda b=found, s=scores: boxes.nms(b, s, 0.5), rounds)
        plain = cpu_seconds(lambda b=found, s=scores: one_by_one(b, s, 0.5), rounds)
        figures[f"NMS of 5,000 {kind} boxes ({len(kept)} kept), ms"] = round(1e3 * taken, 1)
        figures[f"NMS, {kind}: times faster than one by one"] = round(plain / taken, 1)
    return figures


def i3d(rounds: int) -> dict[str, float]:
    """I3D at full width on 32 x 112 x 112, and a matrix product of the same length of time."""
    net, clip = I3D().eval(), torch.randn(1, 3, 32, 112, 112)
    matrix = torch.randn(1024, 1024)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            net(clip)
        operations = counter.get_total_flops()
        seconds = cpu_seconds(lambda: net(clip), rounds)
        product = cpu_seconds(lambda: matrix @ matrix, 5 * rounds)
    peak = 2 * 1024**3 / product
    return {
        "I3D forward of 32 x 112 x 112, GFLOP": round(operations / 1e9, 1),
        "I3D forward, CPU-s": round(seconds, 2),
        "I3D forward, GFLOP/s a core": round(operations / seconds / 1e9, 1),
        "matrix product 1024, GFLOP/s a core": round(peak / 1e9, 1),
        "I3D, share of the matrix product's rate": round(operations / seconds / peak, 2),
    }


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often; the fastest counts")
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {"torch": torch.__version__}
    for part in (align, suppression, i3d):
        figures |= part(arguments.rounds)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
