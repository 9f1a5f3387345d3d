"""The videos that CFAD sees: resampled to T frames, what is true in them, how their frames look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.anchors import kmeans_sizes
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.matching import TrueTubes
from stad_lite.cfad.refine import key_labels
from stad_lite.data.clips import FrameRun, resampled
from stad_lite.data.source import VideoSource
from stad_lite.systems.items import Items, read_stream
from stad_lite.systems.maps import FrameMaps, can_mirror
from stad_lite.systems.seen import Seen


@dataclass
class Videos(Items):
    """Items that say whether they are ``warm``: the temporal proposals are trained first, and alone.

    warm_epochs: epochs in which they are
    """

    warm_epochs: int = 0

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {**super().__getitem__(index), "warm": torch.tensor(self.epoch < self.warm_epochs)}


def video_run(source: VideoSource, video: str, config: CfadConfig) -> FrameRun:
    """Return the frames that a video is resampled to. Source: CFAD Sec. 3.1."""
    return resampled(video, source.num_frames(video), config.length)


def read_seen(
    source: VideoSource, config: CfadConfig, video: str, numbers: np.ndarray, mirror: bool = False
) -> dict[str, Seen]:
    """Return the streams of frames (t,) of a video as they are stored.

    mirror: as a mirror shows it
    raises: FormatError for a source without flow where the stream needs it
    """
    turned = torch.tensor(mirror)
    streams = ("rgb", "flow") if config.stream == "early" else ("rgb",)
    return {
        name: Seen(torch.from_numpy(read_stream(source, name, video, numbers)), turned) for name in streams
    }


def true_tubes(source: VideoSource, config: CfadConfig, run: FrameRun) -> TrueTubes:
    """Return the tubes of a video on its resampled frames.

    A tube between two of these frames has the one nearest to its middle.
    """
    tubes = source.annotations.videos[run.video].tubes or ()
    boxes, spans = np.zeros((len(tubes), config.length, 4)), np.zeros((len(tubes), 2))
    own = []
    for row, tube in enumerate(tubes):
        inside = np.flatnonzero((run.frames >= tube.start) & (run.frames < tube.end))
        if not len(inside):
            inside = np.array([np.abs(run.frames - (tube.start + tube.end - 1) / 2).argmin()])
        own.append(tube.boxes[(run.frames[inside] - tube.start).clip(0, len(tube) - 1)])
        boxes[row, inside], spans[row] = own[-1], (inside[0], inside[-1] + 1)
    labels = torch.tensor([source.classes.index(tube.label) for tube in tubes], dtype=torch.long)
    keys = key_labels(own, config) if own else np.zeros((0, config.samples))
    as_floats = partial(torch.as_tensor, dtype=torch.float32)
    return TrueTubes(as_floats(boxes), as_floats(spans), labels, as_floats(keys))


def anchor_sizes(truths: Mapping[str, TrueTubes], count: int) -> Tensor:
    """Return widths and heights (count, 2) in pixels, clustered from the true boxes (CFAD Sec. 4.1).

    Where the boxes have fewer different sizes, each stands for a tenth more and less of it too (ours).
    """
    boxes = torch.cat([truth.boxes.flatten(0, 1) for truth in truths.values()])
    boxes = boxes[(boxes != 0).any(1)].double()
    sizes = (boxes[:, 2:] - boxes[:, :2]).numpy()
    if len(known := np.unique(sizes, axis=0)) < count:
        scales = 1.1 ** (np.arange(count) - count // 2)
        sizes = rearrange(known * scales[:, None, None], "s n k -> (s n) k")
    return torch.as_tensor(kmeans_sizes(sizes, count))


def item_of(
    source: VideoSource,
    config: CfadConfig,
    run: FrameRun,
    maps: FrameMaps | None = None,
    mirror: bool = False,
) -> dict[str, Any]:
    """Return one resampled video: ``maps`` (T, c, h, w) or ``frames`` by stream, and ``count``, its own."""
    count = torch.tensor(source.num_frames(run.video))
    if maps is not None:
        return {"maps": maps.clip(config.stream, run.video, run.frames, mirror), "count": count}
    return {"frames": read_seen(source, config, run.video, run.frames, mirror), "count": count}


def training_item(
    run: FrameRun,
    rng: np.random.Generator,
    config: CfadConfig,
    source: VideoSource,
    truths: Mapping[str, TrueTubes],
    maps: FrameMaps | None,
    flip: float = 0.5,
) -> dict[str, Any]:
    """Return one resampled video (``item_of``) with its true tubes, all ``valid``.

    flip: probability of the mirror image
    """
    turned = bool(rng.random() < flip) and can_mirror(maps)
    truth = truths[run.video]
    truth = truth.mirrored(config.size[1]) if turned else truth
    valid = torch.ones(len(truth.labels), dtype=torch.bool)
    return {**item_of(source, config, run, maps, turned), **truth._asdict(), "valid": valid}
