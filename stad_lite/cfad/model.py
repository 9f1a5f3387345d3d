"""CFAD's network: backbone, temporal proposals, coarse module, refine module (CFAD Fig. 2).

network   ``CfadNetwork`` and its parts in ``proposals``, ``coarse`` and ``refine``
matching  ``matching``
criterion ``criterion.losses``
decoding  ``decoding``
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from stad_lite.anchors import grid_anchors, ratio_sizes
from stad_lite.cfad.coarse import CoarseModule, sample_features
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.proposals import SpanNetwork
from stad_lite.cfad.refine import RefineModule
from stad_lite.nets.i3d import I3D
from stad_lite.nets.layers import ConvNorm, norm_layer
from stad_lite.nets.vgg import small_vgg
from stad_lite.systems.seen import Seen, fed_streams


class CfadNetwork(nn.Module):
    """All parts; ``forward`` is only the way from frames to features, the rest is called by its name.

    classes: without background

    ``sizes`` (anchors, 2) are widths and heights of the anchor boxes in pixels, kept with the weights; before
    ``system.training_set`` clusters the true boxes they only fill their place.
    """

    sizes: Tensor

    def __init__(self, config: CfadConfig, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        if config.backbone == "i3d":
            self.backbone: nn.Module = I3D(config.channels, final="Mixed_5b", frozen=config.frozen_norms)
            self.neck: nn.Module = nn.Identity()
            channels = 832
        else:
            self.backbone = small_vgg(config.channels)
            self.neck = Neck(32, config.width)
            channels = config.width
        self.proposals = SpanNetwork(config, channels)
        self.coarse = CoarseModule(config, channels, classes)
        self.refine = RefineModule(config, channels, classes)
        shares = np.linspace(0.2, 0.6, config.anchors).tolist()
        self.register_buffer("sizes", torch.as_tensor(ratio_sizes(shares, [1.6])).float() * min(config.size))

    def maps(self, frames: Tensor | Mapping[str, Seen]) -> Tensor:
        """Return the backbone's maps of frames (b, T, channels, h, w), or of streams as they are stored.

        returns: (b, t, c, h', w'); of a small backbone they can be kept, frame by frame
        """
        volumes = self.config.backbone == "i3d"
        frames = fed_streams(frames, self.config.flow_scale, "unit", volumes)
        if volumes:
            (found,) = self.backbone(rearrange(frames, "b t c h w -> b c t h w")).values()
            return rearrange(found, "b c t h w -> b t c h w")
        (found,) = self.backbone(rearrange(frames, "b t c h w -> (b t) c h w")).values()
        return rearrange(found, "(b t) c h w -> b t c h w", b=len(frames))

    def features(self, maps: Tensor) -> Tensor:
        """Return the features (b, c, t, h, w) that all modules share, of maps (b, t, c, h', w')."""
        found: Tensor = self.neck(rearrange(maps, "b t c h w -> b c t h w"))
        return found

    def forward(self, frames: Tensor | Mapping[str, Seen]) -> Tensor:
        """Return the features (b, c, t, h, w) of frames, as ``maps`` takes them."""
        return self.features(self.maps(frames))

    def sampled(self, features: Tensor, item: Tensor, times: Tensor) -> Tensor:
        """Return the features (m, c, N, h, w) at the times (m, N) of m spans (``coarse.sample_features``)."""
        return sample_features(features, item, times, self.config.time_stride)

    def anchors(self, height: int, width: int) -> Tensor:
        """Return the anchor boxes (height * width * anchors, 4) xyxy pixels of features of so many cells."""
        found = grid_anchors(self.sizes.detach().cpu().numpy(), height, width, self.config.space_stride)
        return torch.as_tensor(found, dtype=torch.float32, device=self.sizes.device)


class Neck(nn.Module):
    """What makes features of a video from a 2-D backbone's maps: half the size, then convolutions in time.

    It stands in for I3D's view of time, so that a feature is more than its frame (ours).
    """

    def __init__(self, in_channels: int, channels: int, gaps: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.shrink = ConvNorm(in_channels, channels, 3, stride=2, padding=1, norm="group")
        self.time = nn.ModuleList(
            [
                nn.Conv2d(channels, channels, (3, 1), padding=(gap, 0), dilation=(gap, 1), bias=False)
                for gap in gaps
            ]
        )
        self.norms = nn.ModuleList([norm_layer("group", channels, 3) for _ in gaps])

    def forward(self, maps: Tensor) -> Tensor:
        """Return (b, channels, t, h / 2, w / 2) of maps (b, in_channels, t, h, w)."""
        count = len(maps)
        small = self.shrink(rearrange(maps, "b c t h w -> (b t) c h w"))
        height = small.shape[2]
        found = rearrange(small, "(b t) c h w -> b c t (h w)", b=count)
        for conv, norm in zip(self.time, self.norms, strict=True):
            found = found + torch.relu(norm(conv(found)[..., None])[..., 0])
        return rearrange(found, "b c t (h w) -> b c t h w", h=height)
