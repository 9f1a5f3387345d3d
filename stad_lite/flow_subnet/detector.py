"""The single-stage detector: its backbone and its detection convolutions (flow subnet Sec. 3.3, 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.nets.blocks import FineReceptiveFieldBlock, ReceptiveFieldBlock
from stad_lite.nets.layers import Norm
from stad_lite.nets.vgg import RFBBackbone, small_vgg


class SmallBackbone(nn.Module):
    """A short backbone for lessons: stride 4, then receptive field blocks that halve the maps (ours).

    channels: of the maps behind the first one, which has 32
    levels: maps

    >>> [tuple(maps.shape[1:]) for maps in SmallBackbone(64, 3)(torch.zeros(1, 3, 64, 64))]
    [(32, 16, 16), (64, 8, 8), (64, 4, 4)]
    """

    def __init__(self, channels: int, levels: int, norm: Norm = "group") -> None:
        super().__init__()
        self.channels = (32, *[channels] * (levels - 1))
        self.base = small_vgg(3, norm=norm)
        self.fine = FineReceptiveFieldBlock(32, 32, norm=norm)
        self.extras = nn.ModuleList(
            [
                ReceptiveFieldBlock(before, channels, stride=2, norm=norm)
                for before in self.channels[: levels - 1]
            ]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps (b, channels[i], h', w') of images (b, 3, h, w), finest first."""
        (maps,) = self.base(images).values()
        found = [self.fine(maps)]
        for block in self.extras:
            maps = block(maps)
            found.append(maps)
        return found


def backbone_of(config: FlowSubnetConfig) -> RFBBackbone | SmallBackbone:
    """Return a new backbone; both streams run through this one (Eq. 3 and 4 share their weights)."""
    if config.backbone == "small":
        return SmallBackbone(config.channels, config.levels, config.norm)
    base = "none" if config.norm == "batch" else config.norm
    return RFBBackbone(width=config.width, depth=config.levels, norm=config.norm, base_norm=base)


class DetectionHead(nn.Module):
    """A 3 x 3 convolution a level and output: offsets of each default box, scores of background and classes.

    channels: of the levels
    per_cell: default boxes of each level's cells
    classes: without background
    Source: SSD Sec. 2.1, as Sec. 3.4 takes it.
    """

    def __init__(self, channels: Sequence[int], per_cell: Sequence[int], classes: int) -> None:
        super().__init__()
        sizes = list(zip(channels, per_cell, strict=True))
        self.scores = nn.ModuleList([nn.Conv2d(n, k * (classes + 1), 3, padding=1) for n, k in sizes])
        self.offsets = nn.ModuleList([nn.Conv2d(n, k * 4, 3, padding=1) for n, k in sizes])
        self.per_cell = tuple(per_cell)
        for conv in [*self.scores, *self.offsets]:
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, to_scores: Sequence[Tensor], to_offsets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return scores (b, n, 1 + classes), background first, and offsets (b, n, 4) of all default boxes.

        to_scores, to_offsets: fused maps (b, channels[i], h', w'); the same but for ``separate`` convolutions
        """
        scores = _rows(self.scores, to_scores, self.per_cell)
        return scores, _rows(self.offsets, to_offsets, self.per_cell)


def _rows(convs: nn.ModuleList, levels: Sequence[Tensor], per_cell: Sequence[int]) -> Tensor:
    """In the order of ``anchors.default_boxes``; in float32, whatever the precision inside."""
    parts = zip(convs, levels, per_cell, strict=True)
    return torch.cat(
        [rearrange(conv(maps), "b (a k) h w -> b (h w a) k", a=number) for conv, maps, number in parts], 1
    ).float()
