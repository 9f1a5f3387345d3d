"""Fusion of appearance and motion, scale by scale (flow subnet Sec. 3.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.flow_subnet.config import Detector


def combine(appearance: Tensor, motion: Tensor, how: str) -> Tensor:
    """Return two maps as one: the combination function of Eq. 5.

    appearance, motion: (b, c, h, w)
    how: ``concat`` (b, 2 c, h, w), ``sum`` or ``average`` (b, c, h, w)
    """
    if how == "concat":
        return torch.cat([appearance, motion], 1)
    total = appearance + motion
    return total if how == "sum" else total / 2


class ElementwiseFusion(nn.Module):
    """Combination, then a 1 x 1 convolution that lets channels and streams exchange what they know (Eq. 6).

    channels: of the maps, finest first
    how: ``concat``, ``sum`` or ``average``
    fused: ``all`` levels, or ``one``: the finest; the others are appearance alone
    """

    def __init__(self, channels: Sequence[int], how: str, fused: str) -> None:
        super().__init__()
        self.how = how
        chosen = channels if fused == "all" else channels[:1]
        self.mix = nn.ModuleList([nn.Conv2d(n * (1 + (how == "concat")), n, 1) for n in chosen])

    def forward(self, appearance: Sequence[Tensor], motion: Sequence[Tensor]) -> list[Tensor]:
        """Return the fused maps, of the shapes of either stream's."""
        parts = zip(self.mix, appearance, motion, strict=False)
        found = [mix(combine(a, m, self.how)) for mix, a, m in parts]
        return [*found, *appearance[len(found) :]]


class PyramidFusion(nn.Module):
    """Spatio-temporal feature pyramid: the sum of both streams and of the coarser level, brought up (Eq. 7).

    channels: of the maps, finest first
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.adjust = nn.ModuleList([nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(channels)])

    def forward(self, appearance: Sequence[Tensor], motion: Sequence[Tensor]) -> list[Tensor]:
        """Return the fused maps, of the shapes of either stream's."""
        found: list[Tensor] = []
        for level in range(len(appearance) - 1, -1, -1):
            maps = appearance[level] + motion[level]
            if found:
                above = self.adjust[level](found[0])
                # bilinear as the code's other upsampling; the paper does not say
                maps = maps + F.interpolate(above, size=maps.shape[2:], mode="bilinear", align_corners=False)
            found.insert(0, maps)
        return found


class OneStream(nn.Module):
    """No fusion: one stream alone (the row ``None`` of Table 2 does not say which)."""

    def __init__(self, stream: str) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, appearance: Sequence[Tensor], motion: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps of the stream."""
        return list(appearance if self.stream == "appearance" else motion)


def fusion_block(config: Detector, channels: Sequence[int]) -> nn.Module:
    """Return the fusion that the settings name, for maps of so many channels."""
    if config.fusion in ("appearance", "motion"):
        return OneStream(config.fusion)
    if config.fusion == "pyramid":
        return PyramidFusion(channels)
    return ElementwiseFusion(channels, config.fusion, config.fused)
