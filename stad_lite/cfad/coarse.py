"""The coarse module: from the features sampled over a span to classes and polynomials (CFAD Sec. 3.2)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from stad_lite.cfad.config import CfadConfig
from stad_lite.nets.blocks import NonLocal, temporal_difference
from stad_lite.nets.layers import CONVS, norm_layer

PRIOR = 2.0
"""First logit of the background, and of no box (ours)."""


class Coarse(NamedTuple):
    """Raw outputs of m spans, float32, in the order of ``model.CfadNetwork.anchors``.

    logits: (m, anchors, classes + 1), the last one is the background
    theta: (m, anchors, order + 1, 4) coefficients of the offsets from each anchor
    """

    logits: Tensor
    theta: Tensor


def sample_times(spans: Tensor, count: int) -> Tensor:
    """Return where the features of spans are taken: from the first frame to the last one, evenly.

    spans: (m, 2) frames, half-open
    count: N, at least 2
    returns: (m, N) frame numbers, not whole ones; all the same where a span has a single frame
    Source: CFAD Sec. 3.1 and 3.3, s_i = i / (N - 1).

    >>> sample_times(torch.tensor([[4.0, 11.0]]), 4).tolist()
    [[4.0, 6.0, 8.0, 10.0]]
    """
    length = (spans[:, 1:] - spans[:, :1] - 1).clamp(min=0)
    return spans[:, :1] + length * torch.linspace(0, 1, count, device=spans.device)


def sample_features(maps: Tensor, item: Tensor, times: Tensor, stride: int) -> Tensor:
    """Return the features at frames, interpolated linearly in time; the ends hold beyond the ends.

    maps: (b, c, t, h, w), step j stands for frames stride * j to stride * (j + 1) and for their middle
    item: (m,) which of the b each span is of
    times: (m, N) frame numbers
    returns: (m, c, N, h, w)
    Source: CFAD Sec. 3.1; that it interpolates follows from N = 16 samples of 12 steps.

    >>> maps = torch.arange(4.0).reshape(1, 1, 4, 1, 1)
    >>> sample_features(maps, torch.tensor([0]), torch.tensor([[0.5, 2.0]]), stride=1).flatten().tolist()
    [0.5, 2.0]
    """
    places = ((times - (stride - 1) / 2) / stride).clamp(0, maps.shape[2] - 1)
    before = places.floor().long()
    after = (before + 1).clamp(max=maps.shape[2] - 1)
    steps = rearrange(maps, "b c t h w -> b t c h w")
    part = (places - before).to(maps.dtype)[..., None, None, None]
    first = steps[item[:, None], before]
    return rearrange(torch.lerp(first, steps[item[:, None], after], part), "m n c h w -> m c n h w")


def start_small(*outputs: nn.Module) -> None:
    """Draw the first weights of output layers so small that scores are even and boxes are their anchors."""
    for name, values in (pair for output in outputs for pair in output.named_parameters()):
        nn.init.zeros_(values) if name == "bias" else nn.init.normal_(values, std=0.01)


class SpaceTimeConv(nn.Module):
    """A 3 x 3 x 3 convolution, group norm, ReLU; factorised into 3 x 3 in space, then 3 in time.

    stride: in space
    shortcut: what goes in is added to what comes out, where their channels agree
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        factorised: bool = True,
        stride: int = 1,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.shortcut = shortcut and in_channels == channels and stride == 1
        self.factorised = factorised
        if factorised:
            self.space = CONVS[2](in_channels, channels, 3, stride, 1, bias=False)
            self.time = CONVS[2](channels, channels, (3, 1), 1, (1, 0), bias=False)
        else:
            self.whole = CONVS[3](in_channels, channels, 3, (1, stride, stride), 1, bias=False)
        self.norm = norm_layer("group", channels, 3)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (m, channels, t, h', w') of maps (m, in_channels, t, h, w)."""
        found = torch.relu(self.norm(self.convolved(maps)))
        return maps + found if self.shortcut else found

    def convolved(self, maps: Tensor) -> Tensor:
        """Return what the convolution alone makes of the maps."""
        if not self.factorised:
            found: Tensor = self.whole(maps)
            return found
        count = len(maps)
        maps = self.space(rearrange(maps, "m c t h w -> (m t) c h w"))
        height = maps.shape[2]
        maps = self.time(rearrange(maps, "(m t) c h w -> m c t (h w)", m=count))
        return rearrange(maps, "m c t (h w) -> m c t h w", h=height)


class SpaceTimeHead(nn.Module):
    """The paper's "3D Conv Head": a non-local block, then 3-D convolutions (CFAD Fig. 2)."""

    def __init__(self, config: CfadConfig, in_channels: int) -> None:
        super().__init__()
        widths = [in_channels] + [config.width] * config.convolutions
        self.everywhere = NonLocal(in_channels, dims=3, pool=config.pool)
        kind = {"factorised": config.factorised, "shortcut": config.shortcut}
        self.convs = nn.Sequential(*(SpaceTimeConv(a, b, **kind) for a, b in pairwise(widths)))

    def forward(self, maps: Tensor) -> Tensor:
        """Return (m, width, t, h, w) of maps (m, in_channels, t, h, w)."""
        found: Tensor = self.convs(self.everywhere(maps))
        return found


class CoarseModule(nn.Module):
    """Two branches, one on the features and one on what changes between them; their mean over time, summed.

    in_channels: of the features
    classes: without background

    The branches have N and N - 1 steps, so each is averaged over time before they are added.
    Source: CFAD Sec. 3.2 and Fig. 2.
    """

    def __init__(self, config: CfadConfig, in_channels: int, classes: int) -> None:
        super().__init__()
        self.anchors, self.order = config.anchors, config.order
        names = {"both": ("direct", "difference")}.get(config.branches, (config.branches,))
        self.heads = nn.ModuleDict({name: SpaceTimeHead(config, in_channels) for name in names})
        self.classify = nn.Conv2d(config.width, config.anchors * (classes + 1), 1)
        self.shape = nn.Conv2d(config.width, config.anchors * (config.order + 1) * 4, 1)
        start_small(self.shape)
        # Where nothing is seen there is background. Began all classes alike, the easy way out would be to
        # mark actors by silence, and what is silent after a ReLU cannot learn its class.
        self.classify.bias = nn.Parameter(torch.tensor([0.0] * classes + [PRIOR]).repeat(config.anchors))

    def pooled(self, features: Tensor) -> Tensor:
        """Return the map (m, width, h, w) of sampled features (m, c, N, h, w)."""
        inputs = {"direct": lambda: features, "difference": lambda: temporal_difference(features)}
        parts = [
            reduce(head(inputs[name]()), "m c n h w -> m c h w", "mean") for name, head in self.heads.items()
        ]
        return torch.stack(parts).sum(0)

    def forward(self, features: Tensor) -> Coarse:
        """Return the raw outputs of m spans of their features (m, c, N, h, w)."""
        maps = self.pooled(features)
        logits = rearrange(self.classify(maps), "m (a k) h w -> m (h w a) k", a=self.anchors)
        theta = rearrange(
            self.shape(maps), "m (a p k) h w -> m (h w a) p k", a=self.anchors, p=self.order + 1
        )
        return Coarse(logits.float(), theta.float())
