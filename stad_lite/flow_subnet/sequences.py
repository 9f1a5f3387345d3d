"""Sequences of three frames around an annotated one, changed in training all alike (flow subnet Sec. 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.data.clips import FrameRun, key_frame, order
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import Augment, Sample
from stad_lite.errors import FormatError
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.systems.items import Items, collated, read_stream, some_places
from stad_lite.systems.seen import Seen
from stad_lite.systems.truth import PADDING, boxes_on, key_frames

LENGTH = 3
"""K: frames k - 1, k and k + 1; the video's ends repeat."""


@dataclass
class Sequences(Items):
    """Items that say whether the flow network is still ``frozen`` when they are seen.

    frozen_items: items of the run before it learns
    """

    frozen_items: int = 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        seen = self.epoch * len(self) + place_in_epoch(len(self), self.seed, self.epoch)[index]
        return {**super().__getitem__(index), "frozen": torch.tensor(bool(seen < self.frozen_items))}


@lru_cache(maxsize=2)
def place_in_epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return when in an epoch the training loop shows each item."""
    return np.argsort(order(count, seed, epoch))


def sequence(source: VideoSource, video: str, frame: int) -> FrameRun:
    """Return the frames k - 1, k, k + 1 of a video; its first and last frame stand for what is not there."""
    return key_frame(video, source.num_frames(video), frame, LENGTH)


def reads_flow(source: VideoSource, config: FlowSubnetConfig) -> bool:
    """Tell whether the source's flow is read: as input, or as what the flow network is held to."""
    if not config.sees_motion or config.estimator == "given":
        return config.sees_motion
    if not config.learns_flow or not config.flow_weight or source.read_flow is None:
        return False
    return config.supervision == "source" or (config.supervision == "exact" and source.flow_name == "exact")


def read_flow(source: VideoSource, run: FrameRun) -> np.ndarray:
    """Return the flow (t, h, w, 2) from each frame of a sequence to the next, 0 to the same frame."""
    flow = read_stream(source, "flow", run.video, run.frames)
    stands = np.append(run.frames[1:] == run.frames[:-1], False)
    return np.where(stands[:, None, None, None], np.float32(0), flow)


def flow_tensor(flow: np.ndarray) -> Tensor:
    """Return the flow between the frames of a sequence as a batch holds it, without that of the last one."""
    values = torch.from_numpy(np.ascontiguousarray(flow[:-1], dtype=np.float32))
    return rearrange(values, "t h w c -> t c h w")


def training_item(
    place: tuple[str, int], generator: np.random.Generator, source: VideoSource, config: FlowSubnetConfig
) -> dict[str, Any]:
    """Return an annotated frame with its neighbours, distorted, cropped and mirrored together.

    returns: ``frames`` and, where it is read, ``flow`` between them, as they are stored; ``boxes`` (m, 4) and
        ``labels`` (m,) of the middle frame, as it is shown
    """
    run = sequence(source, *place)
    boxes, labels = boxes_on(source.annotations.videos[run.video], int(run.frames[1]), source.classes)
    truth = Sample(config.size, boxes[:, None], np.ones((len(labels), 1), bool), labels)
    change = Augment(config.flip, config.crop, config.photometric, config.swap)
    truth, change_of = change(truth, generator)
    kept = truth.present[:, 0]
    found = {
        "frames": Seen(torch.from_numpy(read_stream(source, "rgb", run.video, run.frames))),
        "boxes": torch.as_tensor(truth.boxes[kept, 0], dtype=torch.float32),
        "labels": torch.as_tensor(truth.labels[kept]),
    }
    if reads_flow(source, config):
        flow = np.ascontiguousarray(read_flow(source, run)[:-1], dtype=np.float32)
        found["flow"] = Seen(torch.from_numpy(flow))
    return {name: one.changed(change_of) if isinstance(one, Seen) else one for name, one in found.items()}


def seen_item(run: FrameRun, _: object, source: VideoSource, config: FlowSubnetConfig) -> dict[str, Tensor]:
    """Return a sequence as it is, for detection: ``frames`` and, where it is given, ``flow``."""
    frames = torch.from_numpy(read_stream(source, "rgb", run.video, run.frames))
    found = {"frames": rearrange(frames, "t h w c -> t c h w")}
    if config.sees_motion and config.estimator == "given":
        found["flow"] = flow_tensor(read_flow(source, run))
    return found


def title(place: tuple[str, int]) -> str:
    """Return what an item is called."""
    return f"{place[0]} frame {place[1]}"


def training_sequences(source: VideoSource, config: FlowSubnetConfig) -> Sequences:
    """Return all annotated frames with their neighbours.

    raises: FormatError where there is none, and for a source without flow where the estimator is ``given``
    """
    if config.estimator == "given" and config.sees_motion and source.read_flow is None:
        raise FormatError(
            "the estimator is given and the source has no flow",
            file=source.annotations.dataset,
            remedy="open it with flow, or choose another estimator",
        )
    places = some_places(source, key_frames(source, config.every), "no frame holds an annotated action")
    make = partial(training_item, source=source, config=config)
    return Sequences(places, make, title, frozen_items=config.frozen_items)


def as_one(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return sequences of consecutive frames as one, so that nothing is computed twice.

    batch: b sequences whose middle frames follow on each other
    returns: frames (1, b + 2, 3, h, w), and flow (1, b + 1, 2, h, w) where it is given
    """
    frames, flow = batch["frames"], batch.get("flow")
    together = torch.cat([frames[:1, 0], frames[:, 1], frames[-1:, 2]])[None]
    return together, None if flow is None else torch.cat([flow[:1, 0], flow[:, 1]])[None]


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch; frames with fewer boxes are filled up (``systems.truth.PADDING``)."""
    return collated(rows, PADDING)
