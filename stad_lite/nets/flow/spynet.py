"""SPyNet: one small network a pyramid level, each correcting the flow of the coarser one.

Parameter names are ``levels.N`` and what the published files of that level contain, coarsest first.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.nets.flow.warping import resize_flow, resize_to_multiple, warp
from stad_lite.nets.layers import scaled

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1], with which the published weights were trained."""


class Level(nn.Module):
    """Five 7 x 7 convolutions: two images and the flow so far (8 channels) to a correction (2)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        widths = [8, *(scaled(n, width) for n in (32, 64, 32, 16)), 2]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(5):
            layers[f"conv{i + 1}"] = nn.Conv2d(widths[i], widths[i + 1], 7, padding=3)
            if i < 4:
                layers[f"relu{i + 1}"] = nn.ReLU()
        self.model = nn.Sequential(layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (b, 2, h, w) of inputs (b, 8, h, w)."""
        return self.model(inputs)


class SPyNet(nn.Module):
    """A pyramid of flow networks.

    depth: levels; sides are taken to multiples of 2^(depth - 1)
    width: factor on the channels
    Source: Ranjan and Black, Optical Flow Estimation using a Spatial Pyramid Network, Sec. 3.

    >>> SPyNet(depth=3, width=0.25)(torch.rand(1, 3, 24, 40), torch.rand(1, 3, 24, 40)).shape
    torch.Size([1, 2, 24, 40])
    """

    def __init__(self, depth: int = 5, width: float = 1.0) -> None:
        super().__init__()
        self.levels = nn.ModuleList([Level(width) for _ in range(depth)])
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the flow from the first image to the second.

        first, second: (b, 3, h, w) RGB in [0, 1]
        returns: (b, 2, h, w) pixels to the right and down
        """
        height, width = first.shape[2:]
        pyramid = [tuple(self._prepared(image) for image in (first, second))]
        for _ in self.levels[1:]:
            pyramid.append(tuple(F.avg_pool2d(image, 2) for image in pyramid[-1]))
        coarsest = pyramid[-1][0]
        flow = coarsest.new_zeros(len(coarsest), 2, *coarsest.shape[2:])
        for level, (one, two) in zip(self.levels, reversed(pyramid), strict=True):
            if one is not coarsest:
                flow = resize_flow(flow, one.shape[2], one.shape[3], align_corners=True)
            flow = flow + level(torch.cat([one, warp(two, flow, "border"), flow], 1))
        return flow if flow.shape[2:] == (height, width) else resize_flow(flow, height, width)

    def _prepared(self, image: Tensor) -> Tensor:
        image = resize_to_multiple(image, 2 ** (len(self.levels) - 1))
        return (image - self.mean) / self.deviation
