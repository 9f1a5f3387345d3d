"""What the systems cost beside each other: from the same frames to boxes, tubes or segments, CPU time.

OMP_NUM_THREADS=1 python -m benchmarks.bench_protocol --json benchmarks/results/protocol.json

The networks of the experiment ``protocol`` at ``lesson``, trained for a few steps so that few boxes pass for
sure; whole detection of the same clips: reading, backbone, heads, linking. Times are ratios within one
run, operations (convolutions, matrix products, attention) hold anywhere. ``--small`` runs the same code at
tiny sizes, whose figures mean nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.measure import in_turn, measure_parts
from stad_lite.catalogue import ENTRIES
from stad_lite.reproduce.experiments import protocol
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.loop import fit
from stad_lite.training.profile import operations, parameters

TITLES = {"detection": "from frames to what is found, a frame, CPU"}


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    profile: of clips and networks
    learnt, clips: that are trained on and detected in
    steps: of training
    rounds: detections that are timed
    """

    profile: str = "lesson"
    learnt: int = 8
    clips: int = 2
    steps: int = 30
    rounds: int = 5


SMALL = Sizes("smoke", 2, 1, 2, 1)


def built(name: str, sizes: Sizes) -> Any:
    """Return a system that was trained for a few steps from random weights, in evaluation mode."""
    entry, source = ENTRIES[name], protocol.clips(sizes.profile, "train")
    source = source.subset(source.videos[: sizes.learnt])
    seed_all(0)
    system = entry.rebuild(protocol.config_of(name, sizes.profile), source.classes)
    plan = replace(protocol.schedule(name, sizes.profile), steps=sizes.steps, warm_up=0)
    data = entry.training_set(system, source)
    with tempfile.TemporaryDirectory() as folder:
        fit(system, data, plan, folder, collate=entry.collate, device="cpu", say=lambda line: None)
    entry.finish(system, source, 0)
    system.network.eval()
    return system


def detection(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Return for each system CPU ms and operations a frame, the time against the first's, parameters."""
    test = protocol.clips(sizes.profile, "test")
    test = test.subset(test.videos[: sizes.clips])
    frames = sum(test.num_frames(video) for video in test.videos)
    systems = {name: built(name, sizes) for name in protocol.VARIANTS}
    works = {name: partial(ENTRIES[name].detect, system, test) for name, system in systems.items()}
    seconds = in_turn(works, sizes.rounds)
    first = next(iter(seconds.values()))
    rows: dict[str, dict[str, Any]] = {}
    for name, system in systems.items():
        rows[name] = {
            "ms": round(1e3 * seconds[name] / frames, 3),
            "times the first row's": round(seconds[name] / first, 2),
            "GFLOP": round(operations(works[name])[0] / frames / 1e9, 4),
            "parameters": parameters(system.network)[0],
        }
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""

    def at(_: str, small: bool) -> dict[str, Any]:
        return detection(SMALL if small else Sizes())

    measure_parts("bench_protocol", __doc__, TITLES, at, arguments)


if __name__ == "__main__":
    main()
