"""FlowNet: networks that read the flow off two images with plain convolutions, and what they are built of.

FlowNetS stacks the images, FlowNetC correlates their maps, FlowNetSD has small kernels for small motion;
``flownet2`` stacks them. All three share one decoder, which predicts the flow at every level. Parameter
names are those of the published PyTorch weights (``conv1.0.weight``, ``deconv5.0.weight``,
``predict_flow6.weight``, ``upsampled_flow6_to_5.weight``, ``inter_conv5.0.weight``, ...).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.flow.pwcnet import FLOW_SCALE, cost_volume
from stad_lite.nets.flow.warping import resize_to_multiple, to_image_size
from stad_lite.nets.layers import scaled

Convs = Sequence[tuple[str, int, int, int]]
"""Name, channels, kernel and stride of convolutions that follow on each other; the digit is the level."""

COARSE: Convs = (
    ("conv3_1", 256, 3, 1), ("conv4", 512, 3, 2), ("conv4_1", 512, 3, 1), ("conv5", 512, 3, 2),
    ("conv5_1", 512, 3, 1), ("conv6", 1024, 3, 2), ("conv6_1", 1024, 3, 1),
)  # fmt: skip
FINE: Convs = (("conv1", 64, 7, 2), ("conv2", 128, 5, 2), ("conv3", 256, 5, 2))
FINE_SMALL: Convs = (
    ("conv0", 64, 3, 1), ("conv1", 64, 3, 2), ("conv1_1", 128, 3, 1), ("conv2", 128, 3, 2),
    ("conv2_1", 128, 3, 1),
)  # fmt: skip
DECODER = {5: 512, 4: 256, 3: 128, 2: 64, 1: 32, 0: 16}
"""Level -> channels of the transposed convolution that brings the maps of the level above up to it."""
REACH = 20
"""Of FlowNetC's correlation, in cells, every second of which is looked at."""


class FlowNetS(nn.Module):
    """Flow at a quarter of the input's size, and coarser, from two images stacked along their channels.

    depth: levels, 3 to 6; sides must be multiples of 2^depth
    width: factor on all channels but those of flow
    inputs: channels, 12 for a second look inside FlowNet2
    raises: FormatError
    Source: Dosovitskiy et al., FlowNet, Sec. 3 (FlowNetSimple), in FlowNet 2.0's training; the flow
        sub-network's Table 1 compares it as FlowNet2S.

    >>> flows = FlowNetS(depth=4, width=0.125)(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    >>> [tuple(flow.shape[1:]) for flow in flows]
    [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    """

    def __init__(self, depth: int = 6, width: float = 1.0, inputs: int = 6) -> None:
        super().__init__()
        self.depth, self.convs = depth, up_to(depth, (*FINE, *COARSE))
        add_decoder(self, add_convs(self, self.convs, inputs, width), 2, width, bias=False)
        he_leaky(self)

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
        return self.flows(torch.cat(without_mean(first, second), 1))

    def flows(self, inputs: Tensor) -> list[Tensor]:
        """Return the flow of all levels of prepared inputs (b, inputs, h, w)."""
        return decode(self, levels(self, self.convs, inputs))


class FlowNetC(nn.Module):
    """Flow as ``FlowNetS`` gives it, from the correlation of the two images' maps.

    reach: of the correlation, in cells an eighth of the image's size
    Source: Dosovitskiy et al., FlowNet, Sec. 3 (FlowNetCorr).

    >>> flows = FlowNetC(depth=3, width=0.125, reach=2).flows(torch.rand(1, 6, 32, 32))
    >>> [tuple(flow.shape[1:]) for flow in flows]
    [(2, 8, 8), (2, 4, 4)]
    """

    def __init__(self, depth: int = 6, width: float = 1.0, reach: int = REACH) -> None:
        super().__init__()
        self.reach, self.convs = reach, up_to(depth, COARSE)
        widths = add_convs(self, FINE, 3, width)
        add_convs(self, (("conv_redir", 32, 1, 1),), widths[3], width)
        inside = scaled(32, width) + (reach + 1) ** 2
        add_decoder(self, widths | add_convs(self, self.convs, inside, width), 2, width, bias=True)
        he_leaky(self)

    def flows(self, inputs: Tensor) -> list[Tensor]:
        """Return the flow of all levels of two stacked images (b, 6, h, w)."""
        ones, twos = (levels(self, FINE, image) for image in inputs.chunk(2, 1))
        costs = F.leaky_relu(cost_volume(ones[3], twos[3], self.reach, step=2), 0.1)
        maps = torch.cat([layer(self, "conv_redir", ones[3]), costs], 1)
        return decode(self, {2: ones[2], **levels(self, self.convs, maps)})


class FlowNetSD(nn.Module):
    """Flow as ``FlowNetS`` gives it, through small kernels and smoothed before every prediction.

    Source: Ilg et al., FlowNet 2.0, Sec. 4.3 and its appendix.
    """

    def __init__(self, depth: int = 6, width: float = 1.0) -> None:
        super().__init__()
        self.convs = up_to(depth, (*FINE_SMALL, ("conv3", 256, 3, 2), *COARSE))
        add_decoder(self, add_convs(self, self.convs, 6, width), 2, width, bias=True, smooth=True)
        he_leaky(self)

    def flows(self, inputs: Tensor) -> list[Tensor]:
        """Return the flow of all levels of two stacked images (b, 6, h, w)."""
        return decode(self, levels(self, self.convs, inputs))


def without_mean(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return two images (b, 3, h, w) less the mean colour of both together."""
    mean = torch.stack([first, second]).mean((0, 3, 4))[..., None, None]
    return first - mean, second - mean


def up_to(depth: int, convs: Convs) -> Convs:
    """Return the convolutions of levels no deeper than ``depth``. raises: FormatError"""
    if not 3 <= depth <= 6:
        raise FormatError(f"FlowNet with {depth} levels", remedy="use 3 to 6")
    return tuple(conv for conv in convs if int(conv[0][4]) <= depth)


def add_convs(net: nn.Module, convs: Convs, inputs: int, width: float) -> dict[int, int]:
    """Give a network convolutions that follow on each other; return level -> channels."""
    widths = {}
    for name, channels, kernel, stride in convs:
        out = scaled(channels, width)
        conv = nn.Conv2d(inputs, out, kernel, stride, padding=kernel // 2)
        net.add_module(name, nn.Sequential(conv, nn.LeakyReLU(0.1)))
        inputs = out
        if name[4].isdigit():
            widths[int(name[4])] = out
    return widths


def add_decoder(
    net: nn.Module, widths: Mapping[int, int], finest: int, width: float, bias: bool, smooth: bool = False
) -> None:
    """Give a network the layers that ``decode`` uses.

    widths: level -> channels of its maps
    bias: of the convolutions that lift flow
    smooth: whether a convolution without activation stands before every prediction but the coarsest
    """
    deepest = max(widths)
    inside = widths[deepest]
    for level in range(deepest, finest - 1, -1):
        seen = inside
        if smooth and level < deepest:
            seen = scaled(DECODER[level], width)
            net.add_module(f"inter_conv{level}", nn.Sequential(nn.Conv2d(inside, seen, 3, padding=1)))
        net.add_module(f"predict_flow{level}", nn.Conv2d(seen, 2, 3, padding=1))
        if level > finest:
            below = scaled(DECODER[level - 1], width)
            lifted = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)
            net.add_module(f"upsampled_flow{level}_to_{level - 1}", lifted)
            deconv = nn.ConvTranspose2d(inside, below, 4, 2, 1)
            net.add_module(f"deconv{level - 1}", nn.Sequential(deconv, nn.LeakyReLU(0.1)))
            inside = widths[level - 1] + below + 2


def he_leaky(net: nn.Module) -> None:
    """Draw all weights so that a leaky ReLU keeps the size of what passes."""
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(part.weight, a=0.1)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def layer(net: nn.Module, name: str, maps: Tensor) -> Tensor:
    """Return what a network's layer of a name makes of maps."""
    return net.get_submodule(name)(maps)


def levels(net: nn.Module, convs: Convs, maps: Tensor) -> dict[int, Tensor]:
    """Return level -> the maps of its last convolution."""
    found = {}
    for name, *_ in convs:
        found[int(name[4])] = maps = layer(net, name, maps)
    return found


def decode(net: nn.Module, maps: Mapping[int, Tensor]) -> list[Tensor]:
    """Return the flow of all levels that have a prediction, finest first.

    maps: level -> (b, c, h, w); that of the coarsest level, and what each finer one adds to what comes down
    """
    level = max(maps)
    inside = maps[level]
    flows = [layer(net, f"predict_flow{level}", inside)]
    while hasattr(net, f"deconv{level - 1}"):
        level -= 1
        lifted = layer(net, f"upsampled_flow{level + 1}_to_{level}", flows[-1])
        inside = torch.cat([maps[level], layer(net, f"deconv{level}", inside), lifted], 1)
        seen = layer(net, f"inter_conv{level}", inside) if hasattr(net, f"inter_conv{level}") else inside
        flows.append(layer(net, f"predict_flow{level}", seen))
    return flows[::-1]


def estimate(net: FlowNetS, first: Tensor, second: Tensor) -> Tensor:
    """Return the flow from one image to another at their own size.

    Images go in at the next multiples of 2^depth; the vectors are scaled with the size.

    first, second: (b, 3, h, w) RGB in [0, 1]
    returns: (b, 2, h, w) pixels to the right and down
    """
    one, two = (resize_to_multiple(image, 2**net.depth) for image in (first, second))
    return to_image_size(net(one, two)[0] * FLOW_SCALE, first.shape[2], first.shape[3])
