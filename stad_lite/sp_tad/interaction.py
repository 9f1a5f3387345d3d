"""The detection head: self-attention of the proposals, interaction with their segments, new segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from stad_lite import segments as segment_ops
from stad_lite.sp_tad.config import Architecture
from stad_lite.sp_tad.pyramid import pyramid_level
from stad_lite.tables import by_number, read_segments

DELTA_WEIGHTS = (2.0, 1.0)
"""What the predicted shift of the centre and the log of the length's factor are divided by (Sparse R-CNN)."""
LARGEST_LOG = math.log(100_000 / 16)
"""Largest predicted log of the length's factor (Sparse R-CNN)."""
PRIOR = 0.01
"""Score of every class before training (focal loss)."""


class Levels(NamedTuple):
    """A pyramid.

    maps: (b, channels, steps) of each level, finest first
    strides: frames for one step of each level
    window: frames that all of it covers
    """

    maps: Sequence[Tensor]
    strides: Sequence[int]
    window: int

    def table(self) -> Tensor:
        """Return all steps of all levels, level by level and item by item: (rows, channels)."""
        return torch.cat([rearrange(maps, "b c t -> (b t) c") for maps in self.maps])


def to_segments(centred: Tensor) -> Tensor:
    """Return start and end of centre and length, both (..., 2)."""
    centre, length = centred.unbind(-1)
    return torch.stack([centre - length / 2, centre + length / 2], -1)


def refine(segments: Tensor, deltas: Tensor) -> Tensor:
    """Return the segments moved and stretched by what a head predicts.

    segments: (..., 2) start and end
    deltas: (..., 2) shift of the centre in lengths, log of the factor of the length, times DELTA_WEIGHTS
    returns: (..., 2)
    Source: SP-TAD Sec. 3.1.3 (iterative refinement), encoded as in Sparse R-CNN.

    >>> refine(torch.tensor([10.0, 20.0]), torch.tensor([1.0, math.log(2.0)]))
    tensor([10., 30.])
    """
    start, end = segments.unbind(-1)
    length = end - start
    shift = deltas[..., 0] / DELTA_WEIGHTS[0] * length
    factor = (deltas[..., 1] / DELTA_WEIGHTS[1]).clamp(max=LARGEST_LOG).exp()
    return to_segments(torch.stack([(start + end) / 2 + shift, length * factor], -1))


def segment_features(
    levels: Levels, segments: Tensor, eta: float, bins: int, samples: int = 2, table: Tensor | None = None
) -> Tensor:
    """Cut each proposal's lengthened segment out of its level of the pyramid.

    segments: (b, n, 2) start and end in windows
    eta: the segment reaches 1 / eta of its length further on either side; its level is that of its own length
    bins, samples: as in ``segment_align``
    table: ``levels.table()``, where it is known
    returns: (b, n, bins, channels)
    Source: SP-TAD Sec. 3.1.3 (SoI align) and Eq. 1.
    """
    batch, count = segments.shape[:2]
    flat = rearrange(segments.detach(), "b n s -> (b n) s")
    item = torch.arange(batch, device=flat.device).repeat_interleave(count, output_size=batch * count)
    level = pyramid_level(flat[:, 1] - flat[:, 0], len(levels.maps))
    steps = [maps.shape[2] for maps in levels.maps]
    size = by_number(level, steps)
    first = by_number(level, [batch * sum(steps[:i]) for i in range(len(steps))]) + item * size
    scale = by_number(level, [1 / stride for stride in levels.strides]).to(flat.dtype)
    cut = segment_ops.expand(flat, eta) * levels.window * scale[:, None]
    found = read_segments(levels.table() if table is None else table, cut, first, size, bins, samples)
    return rearrange(found, "(b n) c i -> b n i c", b=batch)


class SparseInteraction(nn.Module):
    """Each proposal convolves its own segment with two layers that it makes itself.

    channels, hidden: d and d_h
    bins: steps of a segment
    Source: SP-TAD Sec. 3.1.3 and Fig. 3; norms and the last layer as in Sparse R-CNN's dynamic head.

    >>> SparseInteraction(8, 4, bins=5)(torch.zeros(2, 3, 8), torch.zeros(2, 3, 5, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(self, channels: int, hidden: int, bins: int) -> None:
        super().__init__()
        self.channels, self.hidden = channels, hidden
        self.parameters_of = nn.Linear(channels, 2 * channels * hidden)
        self.norm_inner, self.norm_outer = nn.LayerNorm(hidden), nn.LayerNorm(channels)
        self.out = nn.Linear(bins * channels, channels)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, features: Tensor, segments: Tensor) -> Tensor:
        """Return what each proposal found in its segment.

        features: (b, n, channels) of the proposals
        segments: (b, n, bins, channels) of their segments of interest
        returns: (b, n, channels)
        """
        made = self.parameters_of(features)
        down, up = made.split(self.channels * self.hidden, -1)
        inner = segments @ rearrange(down, "b n (c h) -> b n c h", h=self.hidden)
        inner = F.relu(self.norm_inner(inner))
        outer = inner @ rearrange(up, "b n (h c) -> b n h c", h=self.hidden)
        outer = F.relu(self.norm_outer(outer))
        return F.relu(self.norm_out(self.out(rearrange(outer, "b n i c -> b n (i c)"))))


def sine_encoding(places: Tensor, channels: int) -> Tensor:
    """Return sines and cosines of places (...) in windows at growing wave lengths: (..., channels)."""
    half = channels // 2
    waves = 10_000 ** (torch.arange(half, device=places.device, dtype=places.dtype) / half)
    angles = places[..., None] * (2 * math.pi * 100) / waves
    return F.pad(torch.cat([angles.sin(), angles.cos()], -1), (0, channels - 2 * half))


class GlobalAttention(nn.Module):
    """Each proposal attends to every step of every level: the decoder of DETR and its kin.

    Queries know centre and length of their segment, keys their place and level.

    Source: DETR Sec. 3.2, as RTD-Net takes it; the baseline of SP-TAD Sec. 3.1.3.
    """

    def __init__(self, channels: int, attention: int, levels: int) -> None:
        super().__init__()
        self.channels = channels
        self.level = nn.Parameter(torch.zeros(levels, channels))
        self.query = nn.Linear(2 * channels, channels)
        self.attention = nn.MultiheadAttention(channels, attention, batch_first=True)

    def forward(self, features: Tensor, segments: Tensor, levels: Levels) -> Tensor:
        """Return what each proposal found in the window.

        features: (b, n, channels)
        segments: (b, n, 2) start and end in windows
        returns: (b, n, channels)
        """
        keys, values = [], []
        for number, (sequence, stride) in enumerate(zip(levels.maps, levels.strides, strict=True)):
            steps = torch.arange(sequence.shape[2], device=sequence.device, dtype=segments.dtype)
            place = sine_encoding((steps + 0.5) * stride / levels.window, self.channels)
            values.append(rearrange(sequence, "b c t -> b t c"))
            keys.append(values[-1] + place + self.level[number])
        start, end = segments.detach().unbind(-1)
        about = [sine_encoding(part, self.channels) for part in ((start + end) / 2, end - start)]
        query = features + self.query(torch.cat(about, -1))
        return self.attention(query, torch.cat(keys, 1), torch.cat(values, 1), need_weights=False)[0]


class DetectionHead(nn.Module):
    """One head: proposals look at each other, then at their segments, and predict classes and new segments.

    num_classes, levels: how many
    Source: SP-TAD Sec. 3.1.3.
    """

    def __init__(self, config: Architecture, num_classes: int, levels: int) -> None:
        super().__init__()
        c = config.channels
        self.config = config
        self.self_attention = nn.MultiheadAttention(c, config.attention, batch_first=True)
        self.interaction = (
            SparseInteraction(c, config.hidden, config.bins)
            if config.interaction == "sparse"
            else GlobalAttention(c, config.attention, levels)
        )
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.feed_forward = nn.Sequential(
            nn.Linear(c, config.feed_forward), nn.ReLU(), nn.Linear(config.feed_forward, c)
        )
        normed = config.branches == "sparse_rcnn"
        self.cls_tower = _tower(c, 1 if normed else 0, normed)
        self.reg_tower = _tower(c, 3 if normed else 2, normed)
        self.classes = nn.Linear(c, num_classes)
        self.deltas = nn.Linear(c, 2)

    def forward(
        self, levels: Levels, segments: Tensor, features: Tensor, table: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return class logits (b, n, classes), new segments (b, n, 2) and new features (b, n, channels).

        segments: (b, n, 2) start and end in windows
        features: (b, n, channels)
        table: ``levels.table()``, where it is known
        """
        features = self.norm1(
            features + self.self_attention(features, features, features, need_weights=False)[0]
        )
        if isinstance(self.interaction, SparseInteraction):
            config = self.config
            cut = segment_features(levels, segments, config.eta, config.bins, config.samples, table)
            seen = self.interaction(features, cut)
        else:
            seen = self.interaction(features, segments, levels)
        features = self.norm2(features + seen)
        features = self.norm3(features + self.feed_forward(features))
        logits = self.classes(self.cls_tower(features))
        return logits, refine(segments, self.deltas(self.reg_tower(features))), features


def _tower(channels: int, layers: int, normed: bool) -> nn.Sequential:
    """The layers before the last one of a branch."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts.append(nn.Linear(channels, channels, bias=not normed))
        parts += [nn.LayerNorm(channels), nn.ReLU()] if normed else [nn.ReLU()]
    return nn.Sequential(*parts)
