"""The bottom-up pathway of one stream: from k frames to the maps C2, C3, ... of the key frame.

``I3DTrunk`` is the paper's. ``StackTrunk`` is small: a 2-D network sees each frame alone, and its maps of k
frames are stacked, so that they can be computed once and kept.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.fpn import over_time
from stad_lite.nets.i3d import I3D
from stad_lite.nets.layers import norm_layer
from stad_lite.nets.vgg import VGG, small_vgg
from stad_lite.pcsc.config import TAPS, Input
from stad_lite.systems.items import CHANNELS


class I3DTrunk(nn.Module):
    """I3D; each end point is averaged over time, since the paper does not say how 3-D maps become 2-D.

    Source: PCSC Sec. 3.3.

    >>> import torch
    >>> trunk = I3DTrunk("flow", Input(trunk="i3d", width=0.125))
    >>> [tuple(level.shape) for level in trunk(torch.zeros(1, 2, 16, 64, 64))]
    [(1, 24, 16, 16), (1, 60, 8, 8), (1, 104, 4, 4), (1, 128, 2, 2)]
    """

    def __init__(self, stream: str, config: Input) -> None:
        super().__init__()
        self.net = I3D(
            CHANNELS[stream],
            width=config.width,
            blocks=config.blocks,
            norm=config.norm,
            frozen=config.frozen,
        )
        self.channels = tuple(self.net.channels[name] for name in TAPS)
        self.strides = tuple(self.net.strides[name][1] for name in TAPS)

    def forward(self, clips: Tensor) -> list[Tensor]:
        """Return C2 to C5 (b, channels[i], h / strides[i], w / strides[i]) of clips (b, c, k, h, w)."""
        if clips.ndim != 5:
            raise FormatError(f"clips of shape {tuple(clips.shape)}", remedy="give (b, channels, k, h, w)")
        found = self.net(clips, TAPS)
        return [over_time(found[name]) for name in TAPS]


class StackTrunk(nn.Module):
    """The maps of k frames side by side: one convolution over time, then one over space for each level.

    channels, strides: of the levels; the maps that come in have stride ``stride``
    Source: Kalogeiton et al., ACT, Sec. 3.1 (stacked frames), which PCSC Sec. 3.5 follows.

    >>> import torch
    >>> trunk = StackTrunk(32, frames=5, channels=(24, 48))
    >>> [tuple(level.shape) for level in trunk(torch.zeros(2, 5, 32, 16, 16))], trunk.strides
    ([(2, 24, 16, 16), (2, 48, 8, 8)], (4, 8))
    """

    def __init__(self, in_channels: int, frames: int, channels: tuple[int, ...], stride: int = 4) -> None:
        super().__init__()
        self.frames, self.channels = frames, channels
        self.strides = tuple(stride * 2**i for i in range(len(channels)))
        self.time = _block(in_channels, 2 * channels[0], (frames, 1))
        inside = (2 * channels[0], *channels[:-1])
        blocks = [_block(a, b, (3, 3), 2) for a, b in zip(inside[1:], channels[1:], strict=True)]
        self.space = nn.ModuleList([_block(inside[0], channels[0], (3, 3)), *blocks])

    def forward(self, maps: Tensor) -> list[Tensor]:
        """Return a map (b, channels[i], h / 2^i, w / 2^i) a level of maps (b, k, c, h, w).

        raises: FormatError for another number of frames
        """
        if maps.ndim != 5 or maps.shape[1] != self.frames:
            raise FormatError(
                f"maps of shape {tuple(maps.shape)}", remedy=f"give the maps of {self.frames} frames"
            )
        height = maps.shape[3]
        stacked = self.time(rearrange(maps, "b k c h w -> b c k (h w)"))
        level = rearrange(stacked, "b c 1 (h w) -> b c h w", h=height)
        levels = []
        for block in self.space:
            level = block(level)
            levels.append(level)
        return levels


def _block(in_channels: int, channels: int, kernel: tuple[int, int], stride: int = 1) -> nn.Sequential:
    padding = (1, 1) if kernel == (3, 3) else (0, 0)
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, norm_layer("group", channels, 2), nn.ReLU())


def frame_network(stream: str, config: Input) -> VGG:
    """Return the small 2-D network of a stream; its last end point has stride 4."""
    return small_vgg(CHANNELS[stream], depth=config.depth, channels=config.widths)


def trunk(stream: str, config: Input) -> I3DTrunk | StackTrunk:
    """Return a stream's bottom-up pathway."""
    if config.trunk == "i3d":
        return I3DTrunk(stream, config)
    stride = 2 ** (len(config.depth) - 1)
    return StackTrunk(config.widths[len(config.depth) - 1], config.frames, config.hidden_maps, stride)
