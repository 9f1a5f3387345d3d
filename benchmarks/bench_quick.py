"""What the fast way of prediction changes in the figures of the trained detectors that chapters show.

OMP_NUM_THREADS=1 python -m benchmarks.bench_quick --json benchmarks/results/quick.json

Plainly, and with folded backbones, channels last and half precision (``systems.quick``), on the GPU where
there is one: frame-mAP at .5 and video-mAP at .2 and .5, in percent, on clips of ``test``. The goal: float16
within .1. Convolutions in float16 are slow on a CPU (minutes).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.measure import report
from stad_lite.catalogue import find
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.metrics import evaluate
from stad_lite.reproduce import trained
from stad_lite.reproduce.origin import origin
from stad_lite.systems.quick import quick
from stad_lite.training.profile import hardware

DTYPES = ("float16", "bfloat16", "float32")
COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.bench_quick --json benchmarks/results/quick.json"


def scores(name: str, system: Any, source: VideoSource) -> dict[str, float]:
    """Return a detector's figures."""
    found = find(name).detect(system, source)
    figures = {}
    for metric, levels in (("frame-map", (0.5,)), ("video-map", (0.2, 0.5))):
        for level, value in evaluate(source.annotations, found, metric, levels).iou.items():
            figures[f"{metric} at {level}"] = round(float(value), 2)
    return figures


def compared(
    name: str, clips: int, device: torch.device, dtypes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return a trained detector's figures, and how far those of the fast way are from them by dtype."""
    system = trained.load(name).system
    network = system.network.to(device)
    source = synthetic_source(Settings.lesson(), clips, "test")
    rows = {"plain": scores(name, system, source)}
    for dtype in dtypes:
        with quick(network, device, getattr(torch, dtype)):
            fast = scores(name, system, source)
        rows[f"{dtype}, apart"] = {key: round(fast[key] - value, 2) for key, value in rows["plain"].items()}
    return rows


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100, help="of the split test")
    parser.add_argument("--systems", nargs="+", default=trained.names(), metavar="NAME")
    parser.add_argument("--dtypes", nargs="+", default=["float16", "bfloat16"], choices=DTYPES)
    parser.add_argument("--json", default="", help="file to write")
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    about = {**origin(COMMAND, hardware(device)), "clips": chosen.clips}
    rows = {name: compared(name, chosen.clips, device, chosen.dtypes) for name in chosen.systems}
    report({**about, **rows}, chosen.json)


if __name__ == "__main__":
    main()
