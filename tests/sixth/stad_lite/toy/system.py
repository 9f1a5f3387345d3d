"""The toy as a system: what it trains on, what it finds in videos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.arrays import as_numpy
from stad_lite.data.source import VideoSource
from stad_lite.nets.published import Trunk
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.systems.detect import look
from stad_lite.systems.items import Items, collated, read_stream, some_places, stream_input
from stad_lite.systems.truth import PADDING, TrueBoxes, boxes_on, key_frames
from stad_lite.toy.config import ToyConfig
from stad_lite.toy.detector import ToyNetwork, decode, losses


class ToySystem:
    """Network, criterion (``loss``) and decoding (``predict``)."""

    def __init__(self, config: ToyConfig, classes: Sequence[str]) -> None:
        self.config, self.classes = config, tuple(classes)
        self.network = ToyNetwork(config, len(classes))

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms."""
        truth = TrueBoxes(batch["boxes"], batch["labels"])
        return losses(*self.network(batch["frame"]), truth, self.config)

    def predict(self, batch: dict[str, Tensor], check: Any = None) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return boxes, labels and scores of each frame; ``check`` is told what the network says."""
        said = self.network(batch["frame"])
        if check:
            check(*said)
        return decode(*said, self.config.size, self.config)


def build(config: ToyConfig, classes: Sequence[str]) -> ToySystem:
    """Return a new system."""
    return ToySystem(config, classes)


def trunks(system: ToySystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill, by stream."""
    return {"rgb": Trunk((system.network.backbone,), fed=system.config.normalise)}


def item(
    place: tuple[str, int], generator: np.random.Generator, source: VideoSource, normalise: str
) -> dict[str, Tensor]:
    """Return one frame and its true boxes."""
    video, frame = place
    values = stream_input("rgb", read_stream(source, "rgb", video, np.array([frame])), normalise=normalise)
    boxes, labels = boxes_on(source.annotations.videos[video], frame, source.classes)
    found = {"boxes": torch.as_tensor(boxes, dtype=torch.float32), "labels": torch.as_tensor(labels)}
    return {"frame": values[0], **found}


def title(place: tuple[str, int]) -> str:
    """Return what an item is called."""
    return f"{place[0]} frame {place[1]}"


def items(system: ToySystem, source: VideoSource, places: Sequence[tuple[str, int]]) -> Items:
    """Return frames of a source as items."""
    source.check(system.config.size)
    return Items(places, partial(item, source=source, normalise=system.config.normalise), title)


def training_set(system: ToySystem, source: VideoSource) -> Items:
    """Return the frames that hold an action."""
    places = some_places(source, key_frames(source), "no frame holds an annotated action")
    return items(system, source, places)


def collate(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return a batch."""
    return collated(rows, PADDING)


def detect(system: ToySystem, source: VideoSource) -> Predictions:
    """Return frame boxes of all videos."""

    def frames(video: str) -> Items:
        return items(system, source, [(video, frame) for frame in range(source.num_frames(video))])

    found = {}
    for video, _, answers in look(
        system.network, source, frames, collate, system.predict, lambda place: place[1]
    ):
        rows = [row for answer in answers for row in answer]
        number = np.repeat(np.arange(len(rows)), [len(score) for _, _, score in rows])
        boxes, labels, scores = (as_numpy(torch.cat(column)) for column in zip(*rows, strict=True))
        found[video] = VideoPredictions(frames=FrameBoxes(number, labels, boxes, scores))
    return Predictions(system.classes, found)
