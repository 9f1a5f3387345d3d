"""What single heads of PCSC are asked about: the true boxes of frames, and which part of a class is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite.data.source import VideoSource
from stad_lite.pcsc.clips import clips
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.model import PCSC, Outputs
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.systems.maps import FrameMaps, frame_maps
from stad_lite.systems.truth import boxes_on


class TrueFrames(NamedTuple):
    """A batch of frames with their true boxes.

    maps: stream -> bottom-up maps (b, c, h, w) of each level, before any message
    boxes: (n, 4) xyxy pixels
    item: (n,) frame of the batch
    labels: (n,) class indices
    """

    maps: dict[str, list[Tensor]]
    boxes: Tensor
    item: Tensor
    labels: np.ndarray


@torch.no_grad()
def true_frames(
    system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None, batch: int = 64
) -> list[TrueFrames]:
    """Return all frames that hold a true box, in batches of a video.

    maps: of the small networks, computed where they are not given
    batch: frames at a time, at most
    """
    maps, trunks, found = maps or frame_maps(system, source), system.network.trunks, []
    for video, truth in source.annotations.videos.items():
        for numbers, streams in clips(source, system.config, video, maps, batch):
            true = [boxes_on(truth, int(number), system.classes) for number in numbers]
            labels = np.concatenate([of for _, of in true])
            if len(labels):
                bottom_up = {stream: trunks[stream](seen) for stream, seen in streams.items()}
                boxes = torch.from_numpy(np.concatenate([some for some, _ in true])).float()
                item = torch.arange(len(true)).repeat_interleave(torch.tensor([len(of) for _, of in true]))
                found.append(TrueFrames(bottom_up, boxes, item, labels))
    return found


class Asked(NamedTuple):
    """One frame, its true boxes, and all that the network says of it.

    video, number: of the frame
    outputs: of its batch
    row: of the frame in the batch
    boxes: (m, 4) xyxy pixels of the true boxes
    labels: (m,) class indices
    """

    video: str
    number: int
    outputs: Outputs
    row: int
    boxes: np.ndarray
    labels: np.ndarray


@torch.no_grad()
def outputs_of_frames(
    system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None, batch: int = 16
) -> list[Asked]:
    """Return every frame with the network's raw outputs; ``maps`` and ``batch`` as in ``true_frames``."""
    maps, found = maps or frame_maps(system, source), []
    for video, truth in source.annotations.videos.items():
        for numbers, seen in clips(source, system.config, video, maps, batch):
            outputs = system.network(*(seen[stream] for stream in STREAMS))
            for row, number in enumerate(numbers.tolist()):
                true = boxes_on(truth, number, system.classes)
                found.append(Asked(video, number, outputs, row, *true))
    return found


def parts_right(said: Sequence[int], true: Sequence[int], classes: Sequence[str]) -> np.ndarray:
    """Tell whether look, motion and class are right: (n, 3) bool.

    said, true: (n,) places in ``classes``, each of them called ``look-motion``

    >>> parts_right([1], [0], ["warm-wave", "warm-chop"]).tolist()
    [[True, False, False]]
    """
    one, other = (np.array([classes[at].split("-") for at in some]).reshape(-1, 2) for some in (said, true))
    same = one == other
    return np.column_stack([same, same.all(1)])


def on_shapes(network: PCSC, boxes: int = 300) -> None:
    """Call every part of a network of I3D that is on torch's meta device, in order, on shapes alone.

    boxes: that a head looks at; which they would be no shape tells
    """
    config = network.config
    rgb, flow = (torch.empty(1, c, config.frames, *config.size, device="meta") for c in (3, 2))
    levels = network.features(rgb, flow)
    cut = torch.empty(boxes, config.channels, config.roi, config.roi, device="meta")
    for stream, rpn in network.rpns.items():
        rpn(levels[stream])
    for name, head in network.heads.items():
        if name in network.roi_messages:
            network.roi_messages[name](cut)
        head(cut)
    network.actionness(torch.empty(boxes, 2 * config.hidden, device="meta"))
