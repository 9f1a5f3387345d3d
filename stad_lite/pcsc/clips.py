"""What PCSC sees of a key frame: the frames around it, or their maps, in both streams (PCSC Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.data.clips import FrameRun, key_frame
from stad_lite.data.source import VideoSource
from stad_lite.pcsc.config import Input
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.systems.detect import even_parts
from stad_lite.systems.items import read_stream, together
from stad_lite.systems.maps import FrameMaps, can_mirror
from stad_lite.systems.seen import Seen
from stad_lite.systems.truth import boxes_on

Place = tuple[str, int]
"""Video and number of a key frame."""


def read_seen(source: VideoSource, stream: str, video: str, numbers: np.ndarray, mirror: bool) -> Seen:
    """Return frames (n,) of a video in one stream as they are stored."""
    return Seen(torch.from_numpy(read_stream(source, stream, video, numbers)), torch.tensor(mirror))


def stream_clip(
    source: VideoSource,
    config: Input,
    stream: str,
    run: FrameRun,
    maps: FrameMaps | None,
    mirror: bool = False,
) -> Tensor | Seen:
    """Return what a stream sees of one clip: maps (k, c, h, w), or for I3D the frames as they are stored."""
    if maps is not None:
        return maps.clip(stream, run.video, run.frames, mirror).float()
    return read_seen(source, stream, run.video, run.frames, mirror)


def key_clip(
    source: VideoSource, config: Input, place: Place, maps: FrameMaps | None, mirror: bool = False
) -> dict[str, Any]:
    """Return a key frame with its neighbours in both streams, and its true boxes.

    maps: of the frames, None for I3D, which sees the frames themselves
    """
    video, frame = place
    run = key_frame(video, source.num_frames(video), frame, config.frames, config.gap)
    boxes, labels = boxes_on(source.annotations.videos[video], frame, source.classes)
    boxes = box_ops.mirrored(boxes, config.size[1]) if mirror else boxes
    return {
        **{stream: stream_clip(source, config, stream, run, maps, mirror) for stream in STREAMS},
        "boxes": torch.as_tensor(boxes, dtype=torch.float32),
        "labels": torch.as_tensor(labels),
    }


def training_clip(
    place: Place, rng: np.random.Generator, source: VideoSource, config: Input, maps: FrameMaps | None
) -> dict[str, Any]:
    """Return a key frame as it is seen in training: half of them mirrored."""
    return key_clip(source, config, place, maps, can_mirror(maps) and bool(rng.random() < 0.5))


def place_title(place: Place) -> str:
    """Return what a key frame is called."""
    return f"{place[0]} frame {place[1]}"


def clips(
    source: VideoSource, config: Input, video: str, maps: FrameMaps | None, batch: int
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Yield the clips around every frame of a video: frame numbers (b,) and what both streams see of them."""
    for numbers in even_parts(source.num_frames(video), batch):
        items = [key_clip(source, config, (video, int(number)), maps) for number in numbers]
        yield numbers, {stream: together([item[stream] for item in items]) for stream in STREAMS}
