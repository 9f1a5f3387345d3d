"""What the flow subnet costs: streaming against recomputation, a frame's time by stage, a step at 300 pixels.

OMP_NUM_THREADS=1 python -m benchmarks.bench_flow_subnet --json benchmarks/results/flow_subnet.json

CPU times, random weights, frames of noise; ratios within one run. Recomputation shows the network the three
frames of every sequence anew, as training does: six images pass the pyramid of two pairs where streaming has
one. ``--small`` runs the same code at tiny sizes, whose figures mean nothing. ``--only paper``, which takes
minutes, is measured where it is asked for. A part that is measured anew leaves the file's others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.full_size import once
from benchmarks.measure import in_turn, measure_parts
from stad_lite.data.synthetic import CLASSES as SYNTHETIC
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.config import FlowSubnetConfig, schedule
from stad_lite.flow_subnet.decoding import found_in, linking, score_table
from stad_lite.flow_subnet.stream import Account
from stad_lite.flow_subnet.system import FlowSubnetSystem
from stad_lite.linking import OnlineLinker
from stad_lite.systems.detect import unchecked
from stad_lite.training.examples import CLASSES, Noise
from stad_lite.training.profile import parameters

TITLES = {
    "streaming": "streaming against recomputation, CPU",
    "account": "one frame by stage, streaming, CPU",
    "paper": "the paper's sizes, CPU",
}


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    profile: of streaming and account
    frames: of the video of noise
    paper: the profile that takes one step, on so many sequences
    rounds: videos that are timed
    """

    profile: str = "lesson"
    frames: int = 24
    paper: str = "paper"
    items: int = 2
    rounds: int = 5


SMALL = Sizes("smoke", 4, "smoke", 2, 1)


def build(profile: str, classes: Sequence[str]) -> FlowSubnetSystem:
    """Return the system with random weights."""
    torch.manual_seed(0)
    config = replace(getattr(FlowSubnetConfig, profile)(), pretrained="")
    system = pipeline.build(config, classes)
    system.network.eval()
    return system


def noise(count: int, size: tuple[int, int]) -> np.ndarray:
    """Return frames (count, h, w, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def streamed(system: FlowSubnetSystem, frames: np.ndarray, account: Account | None = None) -> int:
    """Stream a video; return the boxes that are found."""
    stream = pipeline.stream(system, account=account)
    found = [one for frame in frames for one in stream.push(frame)] + stream.close()
    return sum(len(one.found) for one in found)


def recomputed(system: FlowSubnetSystem, frames: np.ndarray) -> int:
    """Do the same with every sequence by itself; return the boxes that are found."""
    linker = OnlineLinker(len(system.classes), linking(system.config), system.classes)
    count = 0
    for number in range(len(frames)):
        (found,) = found_in(system.network, {"frames": sequence_at(frames, number)}, unchecked)
        linker.step(number, found.boxes, score_table(found, len(system.classes)))
        count += len(found)
    return count


def sequence_at(frames: np.ndarray, number: int) -> Tensor:
    """Return frames k - 1, k, k + 1 as (1, 3, 3, h, w); the ends repeat."""
    places = np.clip([number - 1, number, number + 1], 0, len(frames) - 1)
    return torch.from_numpy(frames[places]).permute(0, 3, 1, 2)[None]


def flow_calls(system: FlowSubnetSystem, frames: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return the flow of one frame: with the frame before kept, and with two pairs from nothing."""
    motion: Any = system.network.motion
    images = [sequence_at(frames, 1)[:, place].float() / 255 for place in range(3)]
    known = motion.features(images[0])

    @torch.no_grad()
    def kept() -> Tensor:
        new = motion.features(images[1])
        return motion.field(motion.between(known, new)[0], system.config.size)

    @torch.no_grad()
    def anew() -> None:
        for pair in ((0, 1), (1, 2)):
            first, second = (motion.features(images[place]) for place in pair)
            motion.field(motion.between(first, second)[0], system.config.size)

    return {"flow of a frame, streaming": kept, "flow of a frame, again": anew}


def streaming(sizes: Sizes) -> dict[str, Any]:
    """Return CPU ms a frame of both ways, and how many times less streaming takes."""
    system = build(sizes.profile, SYNTHETIC)
    frames = noise(sizes.frames, system.config.size)
    if streamed(system, frames) != recomputed(system, frames):
        raise ArithmeticError("streaming finds other boxes than recomputation")
    videos = {"streaming": lambda: streamed(system, frames), "again": lambda: recomputed(system, frames)}
    taken = {name: value / len(frames) for name, value in in_turn(videos, sizes.rounds).items()}
    flow = in_turn(flow_calls(system, frames), sizes.rounds)
    return {
        **{f"{name}, ms a frame": round(1e3 * value, 3) for name, value in {**taken, **flow}.items()},
        "ratio": round(taken["again"] / taken["streaming"], 3),
        "ratio of the flow": round(flow["flow of a frame, again"] / flow["flow of a frame, streaming"], 3),
    }


def by_stage(sizes: Sizes) -> dict[str, Any]:
    """Return where a frame's CPU time goes, its share of each stage, and the parameters."""
    system = build(sizes.profile, SYNTHETIC)
    frames = noise(sizes.frames, system.config.size)
    streamed(system, frames)
    account = Account(clock=time.process_time)
    for _ in range(sizes.rounds):
        streamed(system, frames, account)
    count, total = sizes.rounds * sizes.frames, sum(account.seconds.values())
    return {
        **{f"{name}, ms": round(1e3 * value / count, 3) for name, value in account.seconds.items()},
        **{f"share of {name}, %": round(100 * value / total, 1) for name, value in account.seconds.items()},
        "frames a second": round(count / total, 1),
        "parameters": parameters(system.network)[0],
    }


def paper(sizes: Sizes) -> dict[str, Any]:
    """Return one prediction and one training step of the paper's sizes, and its default boxes."""
    system = build(sizes.paper, CLASSES)
    data = pipeline.training_set(system, Noise(system.config.size).source())
    data.frozen_items = 0  # all parts learn
    middle = len(data) // 2
    batch = pipeline.collate([data[middle + number] for number in range(sizes.items)])
    # the flow has a loss of its own before the backbone, which so cannot be cut off
    found = once(system, batch, schedule(sizes.paper), ())
    about = {"sequences": sizes.items, "default boxes": len(system.network.boxes)}
    calls = {name: _whole(found[name]) for name in ("prediction", "training step")}
    return {**about, "parameters": found["parameters"], **calls}


def _whole(call: dict[str, Any]) -> dict[str, Any]:
    """What a call costs, without a share of a backbone that was not told apart."""
    return {name: value for name, value in call.items() if "share" not in name}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""
    measures = {"streaming": streaming, "account": by_stage, "paper": paper}

    def measured(part: str, small: bool) -> dict[str, Any]:
        return measures[part](SMALL if small else Sizes())

    measure_parts("bench_flow_subnet", __doc__, TITLES, measured, arguments)


if __name__ == "__main__":
    main()
