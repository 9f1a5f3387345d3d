"""VGG16 in two forms: to conv5_3 (STEP), and dilated with receptive field blocks (flow sub-network).

Parameter names are those of the published weights: ``features.N`` of torchvision's VGG16 and ``base.N``,
``reduce``, ``Norm``, ``extras.N`` of RFB Net.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.blocks import FineReceptiveFieldBlock, ReceptiveFieldBlock
from stad_lite.nets.layers import ConvNorm, Norm, freeze_norms, he_weights, norm_layer, scaled

DEPTH = (2, 2, 3, 3, 3)
"""Convolutions of VGG16's five stages."""
CHANNELS = (64, 128, 256, 512, 512)
"""Channels of VGG16's five stages."""


def check_stages(
    depth: Sequence[int],
    channels: Sequence[int],
    size: tuple[int, int] | None = None,
    name: str = "channels",
) -> None:
    """Refuse stages that cannot be, or that frames of a size (height, width) have no room for.

    name: what ``channels`` are called
    raises: FormatError
    """
    if not 0 < len(depth) <= len(channels):
        problem = f"depth is {tuple(depth)} and {name} is {tuple(channels)}"
        raise FormatError(problem, remedy="give one for each stage")
    if size is not None and min(size) < 2 ** (len(depth) - 1):
        problem = f"depth is {tuple(depth)} and size is {tuple(size)}"
        raise FormatError(problem, remedy="give fewer stages; each but the first halves height and width")


class Halve(nn.Module):
    """2 x 2 max pooling of maps (..., h, w), a last odd row or column left out.

    Without gradients on a CPU by slices, which give the same values in a fraction of the kernel's time.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if maps.requires_grad or maps.device.type != "cpu":
            return F.max_pool2d(maps, 2)
        height, width = (side // 2 * 2 for side in maps.shape[-2:])
        rows = torch.maximum(maps[..., 0:height:2, :width], maps[..., 1:height:2, :width])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class VGG(nn.Module):
    """VGG16 to its last convolution: stride 16, no pool after conv5; or a small network of its kind.

    in_channels: 3, or 15 for five stacked flow maps of three channels (STEP)
    width: factor on all channels
    depth: convolutions of each stage; stages are joined by 2 x 2 max pools, so five have stride 16
    channels: of each stage at width 1
    norm: ``none`` as published, ``group`` for small networks trained from scratch
    last_dilation: dilation of the last convolution
    Source: Simonyan and Zisserman, Very Deep Convolutional Networks, Table 1 D; STEP Sec. 4.1.

    >>> small = VGG(depth=(1, 2, 2), channels=(32, 32, 32), norm="group", last_dilation=2)
    >>> small(torch.zeros(1, 3, 64, 64))["conv3_2"].shape, small.strides["conv3_2"]
    (torch.Size([1, 32, 16, 16]), 4)
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        depth: Sequence[int] = DEPTH,
        channels: Sequence[int] = CHANNELS,
        norm: Norm = "none",
        last_dilation: int = 1,
    ) -> None:
        super().__init__()
        check_stages(depth, channels)
        layers: list[nn.Module] = []
        self.channels: dict[str, int] = {}
        self.strides: dict[str, int] = {}
        self.places: dict[str, int] = {}
        inside = in_channels
        for stage, convs in enumerate(depth):
            layers += [Halve()] if stage else []
            for i in range(convs):
                last = stage == len(depth) - 1 and i == convs - 1
                outside, name = scaled(channels[stage], width), f"conv{stage + 1}_{i + 1}"
                layers += _conv_relu(inside, outside, norm, last_dilation if last else 1)
                inside = outside
                self.channels[name], self.strides[name] = outside, 2**stage
                self.places[name] = len(layers) - 1
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor, end_points: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the maps of the named convolutions after their ReLU (the last one without a name).

        images: (b, in_channels, h, w)
        returns: name -> (b, channels[name], h / strides[name], w / strides[name])
        raises: FormatError for a convolution that this network does not have
        """
        wanted = list(end_points or [list(self.places)[-1]])
        unknown = [name for name in wanted if name not in self.places]
        if unknown:
            raise FormatError(
                f"no end point {', '.join(unknown)}", remedy=f"this network has {', '.join(self.places)}"
            )
        found, maps = {}, images
        names = {self.places[name]: name for name in wanted}
        for place in range(max(names) + 1):
            maps = self.features[place](maps)
            if place in names:
                found[names[place]] = maps
        return found


def small_vgg(
    in_channels: int,
    *,
    depth: Sequence[int] = (1, 2, 2),
    channels: Sequence[int] = (32, 32, 32),
    norm: Norm = "group",
    last_dilation: int = 2,
) -> VGG:
    """Return the small network that lessons train: 32 channels at stride 4, group norms (``VGG``)."""
    return VGG(in_channels, depth=depth, channels=channels, norm=norm, last_dilation=last_dilation)


def _conv_relu(in_channels: int, channels: int, norm: Norm, dilation: int = 1) -> list[nn.Module]:
    """Return convolution and ReLU, as numbered in the published weights, with a norm between on demand."""
    conv = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation, bias=norm == "none")
    if norm == "none":  # nothing else keeps the size of the maps
        he_weights(conv)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    between = [] if norm == "none" else [norm_layer(norm, channels, 2)]
    return [conv, *between, nn.ReLU()]


class DilatedVGG(nn.ModuleList):
    """VGG16 without its classifier: conv4_3 at stride 8, and conv7 at stride 16 behind a dilated conv6.

    It is the list of its layers, for the published weights are named by their numbers alone.

    in_channels, width, norm: as in ``VGG``
    Source: Chen et al., DeepLab (the reduced-fc weights), as SSD Sec. 3 uses it.

    >>> fine, coarse = DilatedVGG(width=0.125)(torch.zeros(1, 3, 300, 300))
    >>> fine.shape, coarse.shape
    (torch.Size([1, 64, 38, 38]), torch.Size([1, 128, 19, 19]))
    """

    def __init__(self, in_channels: int = 3, *, width: float = 1.0, norm: Norm = "none") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = in_channels
        for stage, (convs, channels) in enumerate(zip(DEPTH, CHANNELS, strict=True)):
            if stage:
                layers.append(nn.MaxPool2d(2, ceil_mode=stage == 3))  # 75 -> 38, so that maps are 38 and 19
            for _ in range(convs):
                layers += _conv_relu(inside, scaled(channels, width), norm)
                inside = scaled(channels, width)
            if stage == 3:
                self.fine_end = len(layers)
        outside = scaled(1024, width)
        between = [] if norm == "none" else [norm_layer(norm, outside, 2)]
        wide, last = nn.Conv2d(inside, outside, 3, padding=6, dilation=6), nn.Conv2d(outside, outside, 1)
        for conv in (wide, last):  # no norm keeps the size of what leaves them
            he_weights(conv)
        layers += [nn.MaxPool2d(3, 1, padding=1), wide, *between, nn.ReLU(), last, nn.ReLU()]
        self.extend(layers)
        self.channels = (inside, outside)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of conv4_3 and conv7 of images (b, in_channels, h, w)."""
        maps = fine = images
        for place, layer in enumerate(self, start=1):
            maps = layer(maps)
            fine = maps if place == self.fine_end else fine
        return fine, maps


class RFBBackbone(nn.Module):
    """The maps of a single-stage detector: dilated VGG16, receptive field blocks, extra layers.

    in_channels, width: as in ``VGG``; at width 1 the six maps have 512, 1024, 512, 256, 256, 256 channels
    depth: how many maps, 2 to 6; each further one needs a larger image (300 pixels for all six)
    norm: of the blocks; ``frozen`` keeps batch norms in evaluation mode
    base_norm: of VGG's own convolutions, which have none in the published weights
    raises: FormatError for a depth that does not exist
    Source: Liu et al., Receptive Field Block Net (RFB Net-E 300), as the flow sub-network's Sec. 3.3 uses it.

    >>> [tuple(m.shape[1:]) for m in RFBBackbone(width=0.25, depth=4)(torch.zeros(1, 3, 96, 96))]
    [(128, 12, 12), (256, 6, 6), (128, 3, 3), (64, 2, 2)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        depth: int = 6,
        norm: Norm = "batch",
        base_norm: Norm = "none",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if not 2 <= depth <= 6:
            raise FormatError(f"a detector with {depth} maps", remedy="use 2 to 6")
        self.base = DilatedVGG(in_channels, width=width, norm=base_norm)
        fine, coarse = self.base.channels
        half, mid, low = scaled(256, width), scaled(512, width), scaled(128, width)
        self.reduce = ConvNorm(fine, half, 1, norm=norm, momentum=0.01)
        self.up_reduce = ConvNorm(coarse, half, 1, norm=norm, momentum=0.01)
        self.Norm = FineReceptiveFieldBlock(2 * half, mid, norm=norm)
        self.extras = nn.ModuleList(
            [
                ReceptiveFieldBlock(coarse, coarse, norm=norm),
                ReceptiveFieldBlock(coarse, mid, stride=2, norm=norm),
                ReceptiveFieldBlock(mid, half, stride=2, norm=norm),
            ][: depth - 1]
        )
        for _ in range(depth - 4):
            self.extras.append(ConvNorm(half, low, 1, norm=norm, momentum=0.01))
            self.extras.append(ConvNorm(low, half, 3, norm=norm, momentum=0.01))
        self.channels = (mid, coarse, mid, half, half, half)[:depth]
        self.frozen = frozen
        self.train()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return ``depth`` maps (b, channels[i], h', w') of images (b, in_channels, h, w), finest first."""
        fine, maps = self.base(images)
        above = F.interpolate(self.up_reduce(maps), size=fine.shape[2:], mode="bilinear", align_corners=True)
        found = [self.Norm(torch.cat([self.reduce(fine), above], 1))]
        for i, layer in enumerate(self.extras):
            maps = layer(maps)
            if i < 3 or i % 2 == 0:  # the last four layers come in pairs
                found.append(maps)
        return found

    def train(self, mode: bool = True) -> RFBBackbone:
        """Switch to training, except batch norms that are frozen."""
        super().train(mode)
        if self.frozen:
            freeze_norms(self)
        return self
