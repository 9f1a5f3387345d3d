"""PWC-Net: pyramid, warping and cost volume.

Parameter names are those of the published PyTorch weights (``conv1a.0.weight``, ``conv6_0.0.weight``, ...);
``from_pytorch_pwc`` translates those of the second publication.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.errors import FormatError
from stad_lite.nets.flow.warping import resize_to_multiple, to_image_size, warp
from stad_lite.nets.layers import scaled

PYRAMID = (16, 32, 64, 96, 128, 196)
"""Channels of the image pyramid's levels 1 to 6."""
DENSE = (128, 128, 96, 64, 32)
"""Channels that each decoder's layers add."""
CONTEXT = ((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1))
"""Channels and dilations of the context network."""
FLOW_SCALE = 20.0
"""The network's outputs times this are pixels of the input."""
LOSS_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)
"""Weights of the outputs' losses, finest (level 2) first."""


def cost_volume(first: Tensor, second: Tensor, reach: int = 4, step: int = 1) -> Tensor:
    """Return how well each place of the first map matches the second's places around it.

    first, second: (b, c, h, w)
    reach: largest displacement in cells, along each axis
    step: cells between displacements, from -reach on
    returns: (b, (2 reach / step + 1)^2, h, w) mean products over channels, rows of displacements from the top
        left; places beyond the edge match with 0
    Source: PWC-Net Eq. 3.

    >>> cost_volume(torch.ones(1, 8, 5, 5), torch.ones(1, 8, 5, 5), reach=1)[0, :, 0, 0]
    tensor([0., 0., 0., 0., 1., 1., 0., 1., 1.])
    """
    height, width = first.shape[2:]
    padded = F.pad(second, [reach] * 4)
    costs = []
    for dy in range(0, 2 * reach + 1, step):
        for dx in range(0, 2 * reach + 1, step):
            costs.append((first * padded[:, :, dy : dy + height, dx : dx + width]).mean(1))
    return torch.stack(costs, 1)


def _within(level: int) -> tuple[str, str, str]:
    """Return the names of a pyramid level's convolutions in their order, as the published weights have it."""
    return ("aa", "a", "b") if level == 6 else ("a", "aa", "b")


def _conv(in_channels: int, channels: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, stride, padding=dilation, dilation=dilation)
    return nn.Sequential(conv, nn.LeakyReLU(0.1))


class PWCNet(nn.Module):
    """Flow at a quarter of the input's size, corrected level by level.

    depth: levels of the image pyramid, 3 to 6; sides must be multiples of 2^depth
    width: factor on all channels but those of flow
    reach: of the cost volume, in cells
    normalise: whether the pyramid's maps are ``normalised`` before they are compared; a network that starts
        from random weights needs it, the published weights were trained without
    Source: Sun et al., PWC-Net, Sec. 3 and its appendix; flow sub-network Sec. 3.1.

    >>> flows = PWCNet(depth=4, width=0.25)(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    >>> [tuple(flow.shape[1:]) for flow in flows]
    [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    """

    def __init__(self, depth: int = 6, width: float = 1.0, reach: int = 4, normalise: bool = False) -> None:
        super().__init__()
        if not 3 <= depth <= len(PYRAMID):
            raise FormatError(f"PWC-Net with {depth} levels", remedy="use 3 to 6")
        self.depth, self.reach, self.normalise = depth, reach, normalise
        widths = [3, *(scaled(n, width) for n in PYRAMID)]
        for level in range(1, depth + 1):
            for i, name in enumerate(_within(level)):
                source = widths[level - 1] if i == 0 else widths[level]
                self.add_module(f"conv{level}{name}", _conv(source, widths[level], stride=1 if i else 2))
        dense = [scaled(n, width) for n in DENSE]
        for level in range(depth, 1, -1):
            inside = (2 * reach + 1) ** 2 + (0 if level == depth else widths[level] + 4)
            for i, added in enumerate(dense):
                self.add_module(f"conv{level}_{i}", _conv(inside, added))
                inside += added
            self.add_module(f"predict_flow{level}", nn.Conv2d(inside, 2, 3, padding=1))
            if level > 2:
                self.add_module(f"upfeat{level}", nn.ConvTranspose2d(inside, 2, 4, 2, 1))
                self.add_module(f"deconv{level}", nn.ConvTranspose2d(2, 2, 4, 2, 1))
        for i, (channels, dilation) in enumerate(CONTEXT, start=1):
            self.add_module(f"dc_conv{i}", _conv(inside, scaled(channels, width), dilation=dilation))
            inside = scaled(channels, width)
        self.dc_conv7 = nn.Conv2d(inside, 2, 3, padding=1)
        for part in self.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(part.weight, mode="fan_in")
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Return the flow of all levels, finest first, in units of ``FLOW_SCALE`` pixels of the input.

        first, second: (b, 3, h, w) BGR in [0, 1], sides multiples of 2^depth
        returns: (b, 2, h / 4, w / 4), (b, 2, h / 8, w / 8), ...
        raises: FormatError for other sides
        """
        if any(side % 2**self.depth for side in first.shape[2:]):
            raise FormatError(
                f"images of {first.shape[3]} x {first.shape[2]} pixels",
                remedy=f"use multiples of {2**self.depth}, or ``estimate``",
            )
        return self.match(self.pyramid(first), self.pyramid(second))

    def match(self, ones: Sequence[Tensor], twos: Sequence[Tensor]) -> list[Tensor]:
        """Return the flow of all levels, as ``forward`` does, from the pyramids of both images."""
        flows: list[Tensor] = []
        maps = flow = ones[0]
        for level in range(self.depth, 1, -1):
            one, two = ones[level - 1], twos[level - 1]
            if self.normalise:
                one, two = normalised(one, two)
            if level == self.depth:
                inputs = F.leaky_relu(cost_volume(one, two, self.reach), 0.1)
            else:
                flow = self._layer(f"deconv{level + 1}", flow)
                features = self._layer(f"upfeat{level + 1}", maps)
                two = warp_inside(two, flow * (FLOW_SCALE / 2**level))
                costs = F.leaky_relu(cost_volume(one, two, self.reach), 0.1)
                inputs = torch.cat([costs, one, flow, features], 1)
            maps = inputs
            for i in range(len(DENSE)):
                maps = torch.cat([self._layer(f"conv{level}_{i}", maps), maps], 1)
            flow = self._layer(f"predict_flow{level}", maps)
            flows.append(flow)
        for i in range(1, len(CONTEXT) + 2):
            maps = self._layer(f"dc_conv{i}", maps)
        flows[-1] = flows[-1] + maps
        return flows[::-1]

    def _layer(self, name: str, maps: Tensor) -> Tensor:
        return self.get_submodule(name)(maps)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Return the maps of levels 1 to depth of images (b, 3, h, w); a video's next pair has them again."""
        levels = []
        for level in range(1, self.depth + 1):
            for name in _within(level):
                images = self._layer(f"conv{level}{name}", images)
            levels.append(images)
        return levels


_NUMBERS = {"One": 1, "Two": 2, "Thr": 3, "Fou": 4, "Fiv": 5, "Six": 6}


def from_pytorch_pwc(key: str) -> str | None:
    """Return our name of a tensor in the second publication of the weights, pytorch-pwc; None for another.

    >>> from_pytorch_pwc("moduleExtractor.moduleSix.0.bias")
    'conv6aa.0.bias'
    >>> from_pytorch_pwc("moduleTwo.moduleUpflow.weight")
    'deconv3.weight'
    """
    found = re.fullmatch(r"(?:module|net)(\w+)\.(?:module|net)(\w+?)(?:\.(\d+))?\.(weight|bias)", key)
    if found is None:
        return None
    group, layer, place, part = found[1], found[2], int(found[3] or 0), found[4]
    if group == "Extractor" and layer in _NUMBERS and place in (0, 2, 4):
        return f"conv{_NUMBERS[layer]}{_within(_NUMBERS[layer])[place // 2]}.0.{part}"
    if group == "Refiner" and layer == "Main":
        return f"dc_conv{place // 2 + 1}.{part}" if place == 12 else f"dc_conv{place // 2 + 1}.0.{part}"
    if group not in _NUMBERS:
        return None
    if layer in ("Upflow", "Upfeat"):  # they bring up what the coarser level found
        return f"{'deconv' if layer == 'Upflow' else 'upfeat'}{_NUMBERS[group] + 1}.{part}"
    if layer == "Six":
        return f"predict_flow{_NUMBERS[group]}.{part}"
    return f"conv{_NUMBERS[group]}_{_NUMBERS[layer] - 1}.0.{part}" if layer in _NUMBERS else None


def normalised(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return a pair's maps less the mean of each channel, in units of the deviation of all that remains.

    What all places have in common no longer counts as a match.

    first, second: (b, c, h, w); mean and deviation are those of both together, item by item
    Source: after Jonschkowski et al., What Matters in Unsupervised Optical Flow (its cost volume).
    """
    both = torch.stack([first, second])
    both = both - both.mean((0, 3, 4), keepdim=True)
    one, two = both / (both.square().mean((0, 2, 3, 4), keepdim=True) + 1e-6).sqrt()
    return one, two


def warp_inside(maps: Tensor, flow: Tensor) -> Tensor:
    """Return warped maps, zero where any part of the place lies outside (PWC-Net's mask)."""
    inside = warp(torch.ones_like(maps[:, :1]), flow.detach()) >= 0.9999
    return warp(maps, flow) * inside


def small_pwcnet(normalise: bool = True, still: bool = True) -> PWCNet:
    """Return the lessons' network: three levels, a quarter of the width, displacements of two cells.

    normalise: as in ``PWCNet``
    still: whether its flow begins near zero, so that no level begins with maps warped at random
    """
    net = PWCNet(depth=3, width=0.25, reach=2, normalise=normalise)
    if still:
        with torch.no_grad():
            for name in ("predict_flow3", "predict_flow2", "dc_conv7"):
                net.get_parameter(f"{name}.weight").mul_(0.01)
    return net


def estimate(net: PWCNet, first: Tensor, second: Tensor) -> Tensor:
    """Return the flow from one image to another at their own size.

    Images go in as the published weights want them (blue first), at the next multiples of 2^depth; the
    vectors are scaled with the size.

    first, second: (b, 3, h, w) RGB in [0, 1]
    returns: (b, 2, h, w) pixels to the right and down
    """
    one, two = (resize_to_multiple(image.flip(1), 2**net.depth) for image in (first, second))
    return to_image_size(net(one, two)[0] * FLOW_SCALE, first.shape[2], first.shape[3])


def multi_scale_loss(
    flows: Sequence[Tensor], truth: Tensor, weights: Sequence[float] = LOSS_WEIGHTS
) -> Tensor:
    """Return the weighted sum of all levels' errors: lengths of differences, summed over places.

    flows: as ``PWCNet`` returns them, finest first
    truth: (b, 2, h, w) pixels of the input
    returns: a scalar, the mean over the batch
    Source: flow sub-network Eq. 1 (its second term is weight decay); PWC-Net Eq. 8.
    """
    loss = truth.new_zeros(())
    for flow, weight in zip(flows, weights, strict=False):
        target = F.interpolate(truth / FLOW_SCALE, size=flow.shape[2:], mode="area")
        loss = loss + weight * (flow - target).norm(dim=1).sum((1, 2)).mean()
    return loss
