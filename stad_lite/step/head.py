"""The two-branch head of one step: what is it, and where exactly on each frame? (STEP Sec. 3.2, Fig. 3)

The global branch looks at a whole tubelet, the scene beside it, and says which class it is. The local
branch looks at each frame's region beside the global feature and says how the box is off.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from stad_lite.align import roi_align, roi_align_all, roi_max_pool
from stad_lite.nets.i3d import I3DBlocks
from stad_lite.nets.layers import Norm
from stad_lite.step.config import Heads, StepConfig
from stad_lite.step.extension import anticipate


class Raw(NamedTuple):
    """Raw outputs for n tubelets of t boxes.

    logits: (n, classes + 1) of a softmax whose last entry is the background, or (n, classes) for ``bce``
    offsets: (n, t, regressions, 4) from the proposals; one regression a class, or one for all
    before, after: (n, boxes, regressions, 4) offsets of the neighbouring clips from the proposals of the
        outermost clips (STEP Eq. 5), None where nothing is anticipated
    """

    logits: Tensor
    offsets: Tensor
    before: Tensor | None
    after: Tensor | None


def pool_regions(
    maps: Tensor, tubelets: Tensor, item: Tensor, stride: int, config: Heads, each: int = 0
) -> Tensor:
    """Cut every box of every tubelet out of its own frame's map.

    maps: (b, t, c, h, w)
    tubelets: (n, t, 4) xyxy pixels
    item: (n,) which of the b clips each tubelet is in
    stride: pixels per cell
    each: how many tubelets every clip has where all have as many, clip by clip; 0 where they may differ
    returns: (n, t, c, config.roi_size, config.roi_size)
    Source: STEP Sec. 3.2.
    """
    length, samples, aligned = tubelets.shape[1], 1 if config.head == "vector" else 0, config.roi == "align"
    flat = rearrange(maps, "b t c h w -> (b t) c h w")
    if each and config.roi != "max":
        boxes = rearrange(tubelets, "(b m) t side -> (b t) m side", m=each)
        regions = roi_align_all(flat, boxes, config.roi_size, 1 / stride, samples, aligned)
        return rearrange(regions, "(b t) m c i j -> (b m) t c i j", t=length)
    index = rearrange(item[:, None] * length + torch.arange(length, device=item.device), "n t -> (n t)")
    boxes = rearrange(tubelets, "n t side -> (n t) side")
    if config.roi == "max":
        regions = roi_max_pool(flat, boxes, index, config.roi_size, 1 / stride)
    else:
        regions = roi_align(flat, boxes, index, config.roi_size, 1 / stride, samples, aligned)
    return rearrange(regions, "(n t) c i j -> n t c i j", t=length)


def whole_frame(maps: Tensor, stride: int, config: Heads) -> Tensor:
    """Return the features of the whole image, pooled as one region: (b, t, c, i, j) of (b, t, c, h, w).

    Source: STEP Sec. 3.5 (scene context).
    """
    height, width = maps.shape[-2:]
    zero = maps.new_zeros(maps.shape[:2])  # numbers of the program need no copy to the device
    tubelets = torch.stack([zero, zero, zero + width * stride, zero + height * stride], -1)
    return pool_regions(maps, tubelets, torch.arange(len(maps), device=maps.device), stride, config, each=1)


class TwoBranchHead(nn.Module):
    """Global and local branch of one step.

    channels: of the backbone's map
    stride: pixels per cell of the map
    classes: without background
    anticipates: whether the step after this one is extended by anticipation

    >>> config = StepConfig.smoke()
    >>> head = TwoBranchHead(config, channels=8, stride=4, classes=6, anticipates=True)
    >>> cuboid = torch.tensor([4.0, 4.0, 30.0, 40.0]).expand(3, 6, 4)
    >>> raw = head(torch.rand(2, 6, 8, 12, 12), cuboid, torch.tensor([0, 0, 1]))
    >>> raw.logits.shape, raw.offsets.shape, raw.after.shape
    (torch.Size([3, 7]), torch.Size([3, 6, 6, 4]), torch.Size([3, 6, 6, 4]))
    """

    def __init__(
        self, config: StepConfig, channels: int, stride: int, classes: int, anticipates: bool = False
    ) -> None:
        super().__init__()
        self.config, self.stride = config, stride
        outputs = classes + (config.classification == "softmax")
        regressions = classes if config.regression == "class" else 1
        kinds = {"vector": VectorBranches, "conv3d": ConvBranches, "mixed": MixedBranches}
        self.branches = kinds[config.head](config, channels, outputs)
        inside: int = self.branches.local_channels  # type: ignore[assignment]
        self.location = nn.Linear(inside, 4 * regressions)
        self.before = nn.Linear(inside, 4 * regressions) if anticipates else None
        self.after = nn.Linear(inside, 4 * regressions) if anticipates else None
        self._initialise()

    def _initialise(self) -> None:
        """Xavier normal weights and zero biases, as the authors' code; small ones where boxes come out."""
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                nn.init.xavier_normal_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        for layer in (self.location, self.before, self.after):
            if layer is not None:
                nn.init.normal_(layer.weight, std=1e-3)

    def forward(self, maps: Tensor, tubelets: Tensor, item: Tensor, each: int = 0) -> Raw:
        """Return the raw outputs for tubelets.

        maps: (b, t, c, h, w) of the clips that this step sees
        tubelets: (n, t, 4) xyxy pixels
        item: (n,) which of the b clips each tubelet is in
        each: as in ``pool_regions``
        """
        regions = pool_regions(maps, tubelets, item, self.stride, self.config, each)
        logits, local = self.branches(regions, maps, item, self.stride)
        logits, boxes = logits.float(), self.config.boxes
        offsets = self.location(local).float()
        if self.before is None or self.after is None:
            return Raw(logits, _boxes(offsets), None, None)
        residuals = self.before(local[:, :boxes]).float(), self.after(local[:, -boxes:]).float()
        told = anticipate(offsets, residuals, boxes, self.config.anticipation)
        return Raw(logits, *map(_boxes, (offsets, *told)))


def _boxes(flat: Tensor) -> Tensor:
    return rearrange(flat, "n t (regressions side) -> n t regressions side", side=4)


class VectorBranches(nn.Module):
    """Small branches on one vector a frame: three layers with two convolutions over time among them.

    Ours, for a CPU, where 3-D convolutions are slow: a linear layer takes the place of the spatial part.
    The scene joins by a layer of its own, which equals one layer on both side by side.
    """

    def __init__(self, config: Heads, channels: int, outputs: int) -> None:
        super().__init__()
        cells, width = channels * config.roi_size**2, config.width
        self.config, self.local_channels = config, config.hidden
        self.embed = nn.Linear(cells, width)
        self.scene = nn.Linear(cells, width, bias=False) if config.context else None
        self.temporal = nn.ModuleList([nn.Conv1d(width, width, 3, padding=1) for _ in range(2)])
        self.drop = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, outputs)
        self.local = nn.Linear(cells, config.hidden)
        self.joined = nn.Linear(width, config.hidden, bias=False)
        self.local_2 = nn.Linear(config.hidden, config.hidden)

    def forward(self, regions: Tensor, maps: Tensor, item: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Return logits (n, outputs) and local features (n, t, local_channels)."""
        flat = regions.flatten(2)
        hidden = self.embed(flat)
        if self.scene is not None:
            hidden = hidden + self.scene(whole_frame(maps, stride, self.config).flatten(2))[item]
        hidden = rearrange(F.relu(hidden), "n t c -> n c t")
        for layer in self.temporal:
            hidden = F.relu(layer(hidden))
        whole = hidden.amax(2)
        local = F.relu(self.local(flat) + self.joined(whole)[:, None])
        return self.classify(self.drop(whole)), self.drop(F.relu(self.local_2(local)))


class LocalBranch(nn.Module):
    """Three bottlenecks on each frame's region and global feature, then one vector a frame.

    channels: of region and global feature together
    Source: widths as in the authors' code (1024 and 256 at ``hidden`` 256).
    """

    def __init__(self, config: Heads, channels: int) -> None:
        super().__init__()
        wide = 4 * config.hidden
        self.blocks = nn.Sequential(
            Bottleneck(channels, config.hidden, wide),
            Bottleneck(wide, config.hidden, wide),
            Bottleneck(wide, config.hidden, wide),
        )
        self.narrow = nn.Conv2d(wide, config.hidden, 1)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, joined: Tensor) -> Tensor:
        """Return (n, t, hidden * i * j) of (n, t, channels, i, j)."""
        frames = F.relu(self.narrow(self.blocks(rearrange(joined, "n t c i j -> (n t) c i j"))))
        return self.drop(rearrange(frames, "(n t) c i j -> n t (c i j)", n=len(joined)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions beside a shortcut, without normalisation."""

    def __init__(self, channels: int, inside: int, outside: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inside, 1)
        self.look = nn.Conv2d(inside, inside, 3, padding=1)
        self.expand = nn.Conv2d(inside, outside, 1)
        self.shortcut = nn.Conv2d(channels, outside, 1) if channels != outside else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Return (n, outside, i, j) of maps (n, channels, i, j)."""
        inside = F.relu(self.look(F.relu(self.reduce(maps))))
        return F.relu(self.expand(inside) + self.shortcut(maps))


class ConvBranches(nn.Module):
    """Three 3-D convolutions and a maximum over time (UCF101, STEP Sec. 4.1).

    Kernels of 3, padding 1 and the widths are our choice: the paper does not give them.
    """

    def __init__(self, config: Heads, channels: int, outputs: int) -> None:
        super().__init__()
        self.config = config
        inside = channels * (2 if config.context else 1)
        widths = [inside, config.width, config.width, config.width]
        self.convs = nn.ModuleList([nn.Conv3d(a, b, 3, padding=1) for a, b in pairwise(widths)])
        self.narrow = nn.Conv2d(config.width, config.hidden, 1)
        self.drop = nn.Dropout(config.dropout)
        self.classify = nn.Linear(config.hidden * config.roi_size**2, outputs)
        self.local = LocalBranch(config, channels + config.hidden)
        self.local_channels = config.hidden * config.roi_size**2

    def forward(self, regions: Tensor, maps: Tensor, item: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Return logits (n, outputs) and local features (n, t, local_channels)."""
        inside = regions
        if self.config.context:
            inside = torch.cat([regions, whole_frame(maps, stride, self.config)[item]], 2)
        hidden = rearrange(inside, "n t c i j -> n c t i j")
        for layer in self.convs:
            hidden = F.relu(layer(hidden))
        whole = F.relu(self.narrow(hidden.amax(2)))
        logits = self.classify(self.drop(whole.flatten(1)))
        along = repeat(whole, "n c i j -> n t c i j", t=regions.shape[1])
        return logits, self.local(torch.cat([regions, along], 2))


class MixedBranches(nn.Module):
    """I3D's Mixed_5b and Mixed_5c on regions, and once more on the whole map for the scene (AVA).

    No pool stands between Mixed_4f and 5b; logits are averaged over time.
    Source: STEP Sec. 4.1; layout and widths as in the authors' code.
    """

    def __init__(self, config: Heads, channels: int, outputs: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.config = config
        names, factor = ("Mixed_5b", "Mixed_5c"), config.width / 1024
        self.region = I3DBlocks(channels, names, factor, norm)
        self.scene = I3DBlocks(channels, names, factor, norm) if config.context else None
        top = self.region.channels
        self.narrow = nn.Conv3d(top, config.hidden, 1)
        self.drop = nn.Dropout(config.dropout)
        features = config.hidden * config.roi_size**2
        self.classify = nn.Linear(features + (top if config.context else 0), outputs)
        self.local = LocalBranch(config, channels + config.hidden)
        self.local_channels = features

    def forward(self, regions: Tensor, maps: Tensor, item: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Return logits (n, outputs) and local features (n, t, local_channels)."""
        whole = self.narrow(self.region(rearrange(regions, "n t c i j -> n c t i j")))
        whole = rearrange(whole, "n c t i j -> n t c i j")
        seen = whole.flatten(2)
        if self.scene is not None:
            small = F.max_pool3d(rearrange(maps, "b t c h w -> b c t h w"), (1, 3, 3), (1, 2, 2), (0, 1, 1))
            scene = reduce(self.scene(small), "b c t h w -> b t c", "mean")
            seen = torch.cat([seen, scene[item]], 2)
        logits = reduce(self.classify(self.drop(seen)), "n t c -> n c", "mean")
        return logits, self.local(torch.cat([regions, whole], 2))
