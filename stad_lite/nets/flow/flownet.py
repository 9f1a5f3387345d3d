"""FlowNetS: an encoder on two stacked images and a decoder that predicts the flow at every level.

Parameter names are those of the published PyTorch weights of FlowNet2-S (``conv1.0.weight``,
``deconv5.0.weight``, ``predict_flow6.weight``, ``upsampled_flow6_to_5.weight``, ...).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.flow.pwcnet import FLOW_SCALE
from stad_lite.nets.flow.warping import resize_to_multiple, to_image_size
from stad_lite.nets.layers import scaled

ENCODER = ((64, 7), (128, 5), (256, 5), (512, 3), (512, 3), (1024, 3))
"""Channels and kernel of the strided convolution of levels 1 to 6; levels 3 to 6 have a second one, 3 x 3."""
DECODER = {5: 512, 4: 256, 3: 128, 2: 64}
"""Level -> channels of the transposed convolution that brings the maps of the level above up to it."""


class FlowNetS(nn.Module):
    """Flow at a quarter of the input's size, and coarser, from two images stacked along their channels.

    depth: levels, 3 to 6; sides must be multiples of 2^depth
    width: factor on all channels but those of flow
    raises: FormatError
    Source: Dosovitskiy et al., FlowNet, Sec. 3 (FlowNetSimple), in FlowNet 2.0's training; the flow
        sub-network's Table 1 compares it as FlowNet2S.

    >>> flows = FlowNetS(depth=4, width=0.125)(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    >>> [tuple(flow.shape[1:]) for flow in flows]
    [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    """

    def __init__(self, depth: int = 6, width: float = 1.0) -> None:
        super().__init__()
        if not 3 <= depth <= len(ENCODER):
            raise FormatError(f"FlowNetS with {depth} levels", remedy="use 3 to 6")
        self.depth = depth
        widths = [6, *(scaled(channels, width) for channels, _ in ENCODER)]
        for level in range(1, depth + 1):
            kernel = ENCODER[level - 1][1]
            self.add_module(f"conv{level}", _conv(widths[level - 1], widths[level], kernel, stride=2))
            if level > 2:
                self.add_module(f"conv{level}_1", _conv(widths[level], widths[level]))
        inside = widths[depth]
        for level in range(depth, 1, -1):
            self.add_module(f"predict_flow{level}", nn.Conv2d(inside, 2, 3, padding=1))
            if level > 2:
                below = scaled(DECODER[level - 1], width)
                lifted = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False)
                self.add_module(f"upsampled_flow{level}_to_{level - 1}", lifted)
                deconv = nn.ConvTranspose2d(inside, below, 4, 2, 1)
                self.add_module(f"deconv{level - 1}", nn.Sequential(deconv, nn.LeakyReLU(0.1)))
                inside = widths[level - 1] + below + 2
        for part in self.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(part.weight, a=0.1)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Return the flow of all levels, finest first, in units of ``FLOW_SCALE`` pixels of the input.

        The mean colour of the two images together is taken away first, as the published weights need it.

        first, second: (b, 3, h, w) RGB in [0, 1], sides multiples of 2^depth
        returns: (b, 2, h / 4, w / 4), (b, 2, h / 8, w / 8), ...; ``pwcnet.multi_scale_loss`` trains them
        raises: FormatError for other sides
        """
        if any(side % 2**self.depth for side in first.shape[2:]):
            raise FormatError(
                f"images of {first.shape[3]} x {first.shape[2]} pixels",
                remedy=f"use multiples of {2**self.depth}, or ``estimate``",
            )
        mean = torch.stack([first, second]).mean((0, 3, 4))[..., None, None]
        maps = torch.cat([first - mean, second - mean], 1)
        levels = []
        for level in range(1, self.depth + 1):
            maps = self._layer(f"conv{level}", maps)
            maps = self._layer(f"conv{level}_1", maps) if level > 2 else maps
            levels.append(maps)
        flows = [self._layer(f"predict_flow{self.depth}", maps)]
        for level in range(self.depth - 1, 1, -1):
            lifted = self._layer(f"upsampled_flow{level + 1}_to_{level}", flows[-1])
            maps = torch.cat([levels[level - 1], self._layer(f"deconv{level}", maps), lifted], 1)
            flows.append(self._layer(f"predict_flow{level}", maps))
        return flows[::-1]

    def _layer(self, name: str, maps: Tensor) -> Tensor:
        return self.get_submodule(name)(maps)


def _conv(in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(conv, nn.LeakyReLU(0.1))


def estimate(net: FlowNetS, first: Tensor, second: Tensor) -> Tensor:
    """Return the flow from one image to another at their own size.

    Images go in at the next multiples of 2^depth; the vectors are scaled with the size.

    first, second: (b, 3, h, w) RGB in [0, 1]
    returns: (b, 2, h, w) pixels to the right and down
    """
    one, two = (resize_to_multiple(image, 2**net.depth) for image in (first, second))
    return to_image_size(net(one, two)[0] * FLOW_SCALE, first.shape[2], first.shape[3])
