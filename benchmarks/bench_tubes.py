"""Polynomial fits and greedy key timestamps of all UCF101-24 tubes: CPU seconds of one thread, ratios.

OMP_NUM_THREADS=1 python -m benchmarks.bench_tubes --json benchmarks/results/tubes.json

Needs the published annotations (STAD_DATA). The loop is ``keyframes.greedy_keys`` on every n-th tube,
its time scaled to all; both are timed in this one run.
"""

from __future__ import annotations

import argparse

from benchmarks.measure import cpu_seconds, report
from stad_lite.cfad.keyframes import greedy_keys
from stad_lite.cfad.labeller import label_tubes
from stad_lite.cfad.trajectory import fit_overlap
from stad_lite.data import ucf101_24
from stad_lite.data.location import find_data, missing_message


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=20, help="tubes that the loop takes: every n-th")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    path = find_data("ucf101_24", "pyannot.pkl")
    if path is None:
        raise SystemExit(missing_message("ucf101-24"))
    videos = ucf101_24.read_pickle(path).videos.values()
    tubes = [tube.boxes for video in videos for tube in video.tubes or ()]
    some = tubes[:: arguments.every]
    scale = sum(map(len, tubes)) / sum(map(len, some))
    label_tubes(some)
    fits = [cpu_seconds(lambda k=k: fit_overlap(tubes, k)) for k in range(9)]
    figures = {"tubes": len(tubes), "slowest fit and overlap of one order, CPU-s": round(max(fits), 3)}
    for kind in ("spline", "linear"):
        ratios, fast = [], []
        for _ in range(arguments.rounds):
            loop = scale * cpu_seconds(lambda kind=kind: [greedy_keys(tube, kind=kind) for tube in some])
            fast.append(cpu_seconds(lambda kind=kind: label_tubes(tubes, kind=kind)))
            ratios.append(loop / fast[-1])
        middle = arguments.rounds // 2
        figures[f"greedy labels of all tubes, {kind}, CPU-s"] = round(sorted(fast)[middle], 2)
        figures[f"times faster than a loop over the reference, {kind}"] = round(sorted(ratios)[middle], 1)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
