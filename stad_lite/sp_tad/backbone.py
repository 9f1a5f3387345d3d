"""Three stages of features: from two I3D streams, from a light network, or from a cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from stad_lite.data.features import FeatureSource
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.fpn import over_space
from stad_lite.nets.i3d import I3D
from stad_lite.nets.layers import ConvNorm
from stad_lite.sp_tad.config import Backbone
from stad_lite.systems.items import CHANNELS
from stad_lite.systems.seen import Seen, fed_volume

TAPS = ("Mixed_3c", "Mixed_4f", "Mixed_5c")
"""I3D's last three stages, at strides 2, 4, 8 in time and 8, 16, 32 in space (SP-TAD Sec. 3.1.1)."""
Source = VideoSource | FeatureSource
"""What a backbone reads: frames, or features that another one has made of them."""


class I3DStages(nn.Module):
    """One I3D a stream; stages are pooled over space and concatenated.

    Source: SP-TAD Sec. 3.1.1 and 3.1.2.
    """

    def __init__(self, config: Backbone) -> None:
        super().__init__()
        self.streams = nn.ModuleDict(
            {
                stream: I3D(
                    CHANNELS[stream],
                    width=config.width,
                    norm=config.norm,
                    frozen=config.frozen_norms,
                )
                for stream in config.streams
            }
        )
        nets = [net for net in self.streams.values() if isinstance(net, I3D)]
        self.channels = tuple(sum(net.channels[tap] for net in nets) for tap in TAPS)
        self.reach = config.flow_reach

    def forward(self, clips: Mapping[str, Tensor | Seen]) -> list[Tensor]:
        """Return (b, channels, t / stride) of each stage.

        clips: as they are stored; or (b, 3, t, h, w) in [-1, 1] of "rgb", (b, 2, t, h, w) of "flow", cut and
            scaled to [-1, 1]
        """
        found = [
            net(fed_volume(clips[stream], stream, self.reach), TAPS) for stream, net in self.streams.items()
        ]
        return [torch.cat([over_space(maps[tap]) for maps in found], 1) for tap in TAPS]


class LightStages(nn.Module):
    """Frame by frame a few 2-D convolutions, then in time three 1-D ones of stride 2: I3D's cheap double.

    The pooled maps keep a mean and a maximum over space. Frames are not normalised: how much moves would be
    lost. Convolutions in three dimensions cost several times as much on a CPU.
    """

    def __init__(self, config: Backbone) -> None:
        super().__init__()
        self.stems, self.stages = nn.ModuleDict(), nn.ModuleDict()
        for stream in config.streams:
            stem, inside = [], CHANNELS[stream]
            for width in config.stem:
                stem.append(ConvNorm(inside, width, 3, stride=2, padding=1, norm="none"))
                nn.init.kaiming_normal_(stem[-1].conv.weight, nonlinearity="relu")
                nn.init.zeros_(stem[-1].conv.bias)
                inside = width
            self.stems[stream] = nn.Sequential(*stem)
            stages, inside = [], 2 * inside
            for width in config.channels:
                stages.append(
                    nn.Sequential(
                        ConvNorm(inside, width, 5, stride=2, padding=2, norm="group", dims=1),
                        ConvNorm(width, width, 3, padding=1, norm="group", dims=1),
                    )
                )
                inside = width
            self.stages[stream] = nn.ModuleList(stages)
        self.depth, self.reach = len(config.channels), config.flow_reach
        self.channels = tuple(len(config.streams) * width for width in config.channels)

    def forward(self, clips: Mapping[str, Tensor | Seen]) -> list[Tensor]:
        """Return (b, channels, t / stride) of each stage; ``clips`` as in ``I3DStages``."""
        found: list[list[Tensor]] = []
        for stream, stem in self.stems.items():
            frames = fed_volume(clips[stream], stream, self.reach)
            maps = stem(rearrange(frames, "b c t h w -> (b t) c h w"))
            pooled = [reduce(maps, "n c h w -> n c", how) for how in ("mean", "max")]
            levels = [rearrange(torch.cat(pooled, 1), "(b t) c -> b c t", b=len(frames))]
            for number in range(self.depth):
                stage = self.stages[stream].get_submodule(str(number))
                levels.append(stage(levels[-1]))
            found.append(levels[1:])
        return [torch.cat(parts, 1) for parts in zip(*found, strict=True)]


class CachedStages(nn.Module):
    """Features that were computed before."""

    def __init__(self, config: Backbone) -> None:
        super().__init__()
        self.channels = config.channels

    def forward(self, stages: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the given stages ("0", "1", ...), each (b, channels, steps)."""
        return [stages[str(number)] for number in range(len(self.channels))]


def make_backbone(config: Backbone) -> I3DStages | LightStages | CachedStages:
    """Return the network that gives the stages; ``channels`` holds those of each."""
    if config.kind == "i3d":
        return I3DStages(config)
    return LightStages(config) if config.kind == "light" else CachedStages(config)


class ClipHead(nn.Module):
    """Which classes occur in the window: the stages, pooled over time and concatenated, into one layer.

    Source: SP-TAD Sec. 3.1.4.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(channels, num_classes)

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Return logits (b, classes) of stages (b, channels[i], steps)."""
        return self.classes(torch.cat([F.adaptive_avg_pool1d(stage, 1)[..., 0] for stage in stages], 1))


def is_cached(source: Source) -> TypeGuard[FeatureSource]:
    """Return whether a source gives features in place of frames."""
    return not isinstance(source, VideoSource)


def check_source(backbone: Backbone, source: Source) -> None:
    """Refuse a source that gives what the backbone does not take. raises: FormatError"""
    problem, remedy = "", ""
    if is_cached(source) is backbone.reads_frames:
        gives, takes = ("features", "frames") if is_cached(source) else ("frames", "features")
        problem = f"the source gives {gives}, the backbone {backbone.kind} takes {takes}"
        remedy = "choose another backbone or source"
    elif is_cached(source):
        strides, channels = tuple(source.strides), tuple(source.channels)
        if (strides, channels) != (backbone.strides, backbone.channels):
            problem = (
                f"the features have strides {strides} and channels {channels}, the backbone expects "
                f"{backbone.strides} and {backbone.channels}"
            )
            remedy = "give these to Backbone"
    elif isinstance(source, VideoSource):
        (height, width), (h, w) = source.size, backbone.crop
        if height < h or width < w:
            problem = f"frames of {height} x {width} are smaller than the crop of {h} x {w}"
            remedy = "open the source with a larger size"
    if problem:
        raise FormatError(problem, remedy=remedy)
