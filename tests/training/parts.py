"""Every system's gradient on a batch of two unlike items, as one batch and as parts of it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.catalogue import ENTRIES
from stad_lite.data.source import VideoSource
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.schedule import TrainConfig
from stad_lite.systems.seen import fed_volume
from stad_lite.training import distributed
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube

FRAMES = 64
TRUTHS = {"one": 1, "seven": 7}
"""Video -> how many actions it holds, all at the same time."""
ALL_DRAWN: Mapping[str, Mapping[str, Any]] = {
    "step": {"positives": 99, "negatives": 99},
    "pcsc": {"rpn_batch": 9999, "head_batch": 9999, "positive_share": 1.0},
    "cfad": {"span_sampled": 9999, "sampled": 9999, "refined": 0, "proposal_epochs": 0},
}
"""Settings under which a system that learns from drawn proposals learns from all: no chance is left."""
DOUBLE = ("sp_tad",)
"""Systems whose gradient in float32 is itself no better than 1e-5."""


def source(size: tuple[int, int]) -> VideoSource:
    """Two videos of noise; their actors stand side by side."""
    height, width = size
    classes = ("run", "jump", "wave")
    videos = {}
    for name, count in TRUTHS.items():
        tubes = []
        for number in range(count):
            left, top = 0.02 + 0.07 * number, 0.1 + 0.04 * number
            box = np.array([left, top, left + 0.45, top + 0.55]) * [width, height, width, height]
            tubes.append(Tube(number, np.tile(box, (FRAMES - 7 - number, 1)), classes[number % 3]))
        videos[name] = VideoAnnotation(FRAMES, width, height, 10.0, FRAMES / 10, tubes=tuple(tubes))

    def drawn(video: str, numbers: np.ndarray, channels: int) -> np.ndarray:
        """Patches of one colour each; on finer noise a gradient in float32 is itself no better than 1e-5."""
        of = [[len(video), channels, int(number)] for number in numbers]
        shape = (-(-height // 8), -(-width // 8), channels)
        small = [np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8) for seed in of]
        return np.stack(small).repeat(8, 1).repeat(8, 2)[:, :height, :width]

    def flow(video: str, numbers: np.ndarray) -> np.ndarray:
        return (drawn(video, numbers, 2).astype(np.float32) - 127.5) / 64

    return VideoSource(Annotations("noise", classes, videos), size, lambda v, n: drawn(v, n, 3), flow)


class Two:
    """The item in the middle of each video, where all its actions are under way."""

    def __init__(self, data: Any) -> None:
        names = [data.name(index) for index in range(len(data))]
        of = [[index for index, name in enumerate(names) if name.startswith(video)] for video in TRUTHS]
        self.data, self.chosen = data, [some[len(some) // 2] for some in of]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:
        return self.data[self.chosen[index]]

    def name(self, index: int) -> str:
        """What an item is called."""
        return str(self.data.name(self.chosen[index]))


def gradient(name: str, accumulation: int = 1) -> dict[str, Tensor]:
    """What one step of plain descent takes from every parameter of a new system."""
    entry = ENTRIES[name]
    config = replace(entry.config("smoke"), **ALL_DRAWN.get(name, {}))
    clips = source(config.size)
    seed_all(0)
    system = entry.build(config, clips.classes)
    before = {key: value.detach().clone() for key, value in system.network.named_parameters()}
    plan = TrainConfig(
        steps=1, batch=2, accumulation=accumulation, optimiser="sgd", momentum=0.0, lr=1.0, weight_decay=0.0
    )
    with tempfile.TemporaryDirectory() as alone:
        folder = distributed.broadcast(alone)
        data = Two(entry.training_set(system, clips))
        if name in DOUBLE:
            system.network.double()
        fit(system, data, plan, folder, device="cpu", collate=partial(collated, name), say=lambda _: None)
        distributed.gather(None)  # the first process's folder stays until all are done
    return {key: before[key] - value.detach() for key, value in system.network.named_parameters()}


def collated(name: str, items: list[Any]) -> Any:
    """A batch of a system, in the precision that its network has."""
    batch = ENTRIES[name].collate(items)
    if name not in DOUBLE:
        return batch
    reach = ENTRIES[name].config("smoke").backbone.flow_reach
    inputs = {key: fed_volume(clips, key, reach).double() for key, clips in batch.inputs.items()}
    return batch._replace(inputs=inputs)


def main(folder: Path, names: Sequence[str]) -> None:
    """Keep the gradients of some systems, taken by the processes together."""
    with distributed.processes("cpu"):
        for name in names:
            found = gradient(name)
            if distributed.rank() == 0:
                torch.save(found, folder / f"{name}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
