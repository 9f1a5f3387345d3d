"""What PCSC costs: by stages of cooperation, with and without messages; a step at the paper's sizes.

OMP_NUM_THREADS=1 python -m benchmarks.bench_pcsc --json benchmarks/results/pcsc.json

CPU times, random weights; ratios within one run. Random weights are never sure, so every box passes as sure
here and the stages work on as many proposals as they may. ``--small`` runs the same code at tiny sizes,
whose figures mean nothing. ``--only paper``, which takes minutes, is measured where it is asked for. A part
that is measured anew leaves the file's others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.full_size import cut, once
from benchmarks.measure import compare_parts, measure_parts
from stad_lite.data.synthetic import CLASSES as SYNTHETIC
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.config import MESSAGES, PCSCConfig, schedule
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.model import decode, output_after
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.training.examples import CLASSES, Noise
from stad_lite.training.profile import parameters

TITLES = {
    "stages": "one key frame by stages, CPU",
    "messages": "one key frame by messages, CPU",
    "paper": "the paper's sizes, one key frame, CPU",
}
CHANNELS = {"rgb": 3, "flow": 2}


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    profile: of the curves
    stages: of cooperation after stage 0
    frames: key frames that go through the network together
    paper: the profile that takes one step
    rounds: calls that are timed
    """

    profile: str = "lesson"
    stages: tuple[int, ...] = (0, 1, 2, 3, 4)
    frames: int = 16
    paper: str = "paper"
    rounds: int = 9


SMALL = Sizes("smoke", (0, 2), 2, "smoke", 1)


def build(config: PCSCConfig, classes: Sequence[str] = CLASSES) -> PCSCSystem:
    """Return the system with random weights, ready to predict."""
    torch.manual_seed(0)
    system = PCSCSystem(replace(config, pretrained="", confidence=0.0), tuple(classes))
    system.network.eval()
    return system


def parts_of(config: PCSCConfig, count: int) -> dict[str, Callable[[], Any]]:
    """Return the calls that make a prediction on so many key frames, with the synthetic benchmark's classes.

    The small networks see the key frame alone, for its neighbours' maps are known already.
    """
    system = build(config, SYNTHETIC)
    network, (height, width) = system.network, config.size
    frames = {stream: torch.randn(count, CHANNELS[stream], height, width) for stream in STREAMS}
    nets = network.backbones
    with torch.no_grad():
        one = {stream: next(iter(nets[stream](frames[stream]).values())) for stream in STREAMS}
        maps = [one[stream][:, None].repeat(1, config.frames, 1, 1, 1) for stream in STREAMS]
        outputs = network(*maps)
    off = torch.no_grad()
    return {
        "backbones": off(lambda: [nets[stream](frames[stream]) for stream in STREAMS]),
        "trunks, pyramids, RPNs": off(lambda: network.propose(network.features(*maps))),
        "stages": off(lambda: network.cooperate(outputs.levels, outputs.first)),
        "output": off(lambda: decode(output_after(outputs, config, config.stages))),
    }


def rows(configs: dict[str, PCSCConfig], sizes: Sizes) -> dict[str, Any]:
    """Return, for each configuration, CPU ms of the parts for one key frame, and the parameters."""
    parts = {name: parts_of(config, sizes.frames) for name, config in configs.items()}
    found, seconds = compare_parts(parts, "backbones", sizes.frames, sizes.rounds)
    for name, config in configs.items():
        found[name] |= {
            "frames a second": round(1 / sum(seconds[name].values()), 1),
            "parameters": parameters(build(config, SYNTHETIC).network)[0],
        }
    return found


def stages(sizes: Sizes) -> dict[str, Any]:
    """Return the cost by the number of stages of cooperation (PCSC Table 5's rows)."""
    base = getattr(PCSCConfig, sizes.profile)()
    return rows({f"{number} stages": replace(base, stages=number) for number in sizes.stages}, sizes)


def messages(sizes: Sizes) -> dict[str, Any]:
    """Return the cost of messages with all stages: none (PCSC Table 5's other column), image, RoI, both."""
    base = replace(getattr(PCSCConfig, sizes.profile)(), stages=sizes.stages[-1])
    return rows({kind: replace(base, messages=kind) for kind in reversed(MESSAGES)}, sizes)


def paper(profile: str) -> dict[str, Any]:
    """Return parameters, time and memory of one prediction and one training step on a key frame of noise."""
    config = getattr(PCSCConfig, profile)()
    system = build(config)
    data = pipeline.training_set(system, Noise(tuple(config.size)).source())
    batch = pipeline.collate([data[len(data) // 2]])
    about = {"frames of each stream": config.frames, "size": list(config.size), "classes": len(CLASSES)}
    return about | once(system, batch, schedule(profile), cut(system.network.trunks, STREAMS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""

    def at(part: str, small: bool) -> dict[str, Any]:
        return measured(part, SMALL if small else Sizes())

    measure_parts("bench_pcsc", __doc__, TITLES, at, arguments)


def measured(part: str, sizes: Sizes) -> dict[str, Any]:
    """Return the figures of one part."""
    if part == "paper":
        return paper(sizes.paper)
    return stages(sizes) if part == "stages" else messages(sizes)


if __name__ == "__main__":
    main()
