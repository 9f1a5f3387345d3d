"""The network: stages, pyramid, stacked detection heads and the clip head; raw outputs only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from einops import repeat
from torch import Tensor, nn

from stad_lite.sp_tad.backbone import ClipHead, make_backbone
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.interaction import PRIOR, DetectionHead, Levels, to_segments
from stad_lite.sp_tad.pyramid import TemporalPyramid


class Outputs(NamedTuple):
    """What the network says of a batch of windows.

    logits: (heads, b, n, classes)
    segments: (heads, b, n, 2) start and end in windows, not cut at its ends
    clip: (b, classes) logits of the clip head, None without one
    """

    logits: Tensor
    segments: Tensor
    clip: Tensor | None


def initial_segments(kind: str, count: int) -> Tensor:
    """Return where the learnable proposals begin: (count, 2) centre and length in windows.

    kind: ``whole``, all cover the window (Sparse R-CNN's); ``grid``, evenly over lengths of 1, 1/2, 1/4 ...
        windows, each tiling the window; ``random``, drawn uniformly
    Source: SP-TAD Sec. 3.1.3 (any size, anywhere).

    >>> initial_segments("grid", 7)[:3].tolist()
    [[0.5, 1.0], [0.25, 0.5], [0.75, 0.5]]
    """
    if kind == "whole":
        return torch.tensor([[0.5, 1.0]]).repeat(count, 1)
    if kind == "random":
        return torch.rand(count, 2) * torch.tensor([1.0, 0.5]) + torch.tensor([0.0, 0.02])
    tiles: list[tuple[float, float]] = []
    number = 1
    while len(tiles) < count:
        tiles += [((i + 0.5) / number, 1.0 / number) for i in range(number)]
        number *= 2
    return torch.tensor(tiles[:count])


class SpTad(nn.Module):
    """SP-TAD: from clips or cached stages to proposals.

    Parameter names begin with ``backbone``, ``pyramid``, ``proposals``, ``heads`` or ``clip_head``, so that a
    learning rate can be given to each.

    Source: SP-TAD Sec. 3.1 and Fig. 2.

    >>> net = SpTad(SpTadConfig.smoke(), num_classes=3)
    >>> stages = {str(i): torch.zeros(2, 8, t) for i, t in enumerate((32, 16, 8))}
    >>> {name: tuple(part.shape) for name, part in net(stages)._asdict().items()}
    {'logits': (2, 2, 8, 3), 'segments': (2, 2, 8, 2), 'clip': (2, 3)}
    """

    def __init__(self, config: SpTadConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config.backbone)
        channels = self.backbone.channels
        self.pyramid = TemporalPyramid(config.pyramid, channels, config.backbone.strides, config.channels)
        levels = len(self.pyramid.strides)
        self.proposals = nn.ParameterDict(
            {
                "segments": initial_segments(config.initial, config.proposals),
                "features": torch.randn(config.proposals, config.channels),
            }
        )
        self.heads = nn.ModuleList(DetectionHead(config, num_classes, levels) for _ in range(config.heads))
        self.clip_head = ClipHead(sum(channels), num_classes) if config.clip_head else None
        self._initialise()

    def _initialise(self) -> None:
        """Xavier weights in the heads, and scores that begin at PRIOR (as in Sparse R-CNN)."""
        for name, parameter in self.heads.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            if name.endswith("classes.bias"):
                nn.init.constant_(parameter, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, inputs: Mapping[str, Any]) -> Outputs:
        """Return every head's proposals.

        inputs: for a backbone on frames, clips as they are stored, or (b, 3, t, h, w) of "rgb" in [-1, 1] and
            (b, 2, t, h, w) of "flow"; for cached features, (b, channels[i], t / strides[i]) of "0", "1", "2"
        """
        stages = self.backbone(inputs)
        levels = Levels(self.pyramid(stages), self.pyramid.strides, self.config.window)
        size = len(stages[0])
        segments = repeat(to_segments(self.proposals["segments"]), "n s -> b n s", b=size)
        features = repeat(self.proposals["features"], "n c -> b n c", b=size)
        table = levels.table() if self.config.interaction == "sparse" else None  # once for all heads
        all_logits, all_segments = [], []
        for head in self.heads:
            logits, segments, features = head(levels, segments, features, table)
            all_logits.append(logits)
            all_segments.append(segments)
            segments = segments.detach()
        clip = None if self.clip_head is None else self.clip_head(stages)
        return Outputs(torch.stack(all_logits), torch.stack(all_segments), clip)
