"""FlowNet2: a stack of FlowNets, each of which sees what the flow before it explains, and their fusion.

Parameter names are those of the published PyTorch weights (``flownetc.conv1.0.weight``,
``flownets_1.deconv5.0.weight``, ``flownetfusion.predict_flow0.weight``, ...).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.nets.flow.flownet import (
    FINE_SMALL,
    REACH,
    FlowNetC,
    FlowNetS,
    FlowNetSD,
    add_convs,
    add_decoder,
    decode,
    he_leaky,
    levels,
    without_mean,
)
from stad_lite.nets.flow.pwcnet import FLOW_SCALE
from stad_lite.nets.flow.warping import resize_flow, resize_to_multiple, warp


class Fusion(nn.Module):
    """Flow at the image's own size from two estimates and how well each explains the second image."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        add_decoder(self, add_convs(self, FINE_SMALL, 11, width), 0, width, bias=True, smooth=True)
        he_leaky(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (b, 2, h, w) pixels of inputs (b, 11, h, w)."""
        return decode(self, levels(self, FINE_SMALL, inputs))[0]


class FlowNet2(nn.Module):
    """FlowNetC, twice FlowNetS on its result, FlowNetSD beside them, and the fusion of both.

    depth: levels of the four, 3 to 6; sides are taken to multiples of 2^depth
    width: factor on all channels but those of flow; 1 is the published stack (162,518,834 parameters)
    reach: of FlowNetC's correlation
    Source: Ilg et al., FlowNet 2.0, Fig. 2; the flow sub-network's Table 1.

    >>> net = FlowNet2(depth=3, width=0.125, reach=2)
    >>> net(torch.rand(1, 3, 24, 40), torch.rand(1, 3, 24, 40)).shape
    torch.Size([1, 2, 24, 40])
    """

    def __init__(self, depth: int = 6, width: float = 1.0, reach: int = REACH) -> None:
        super().__init__()
        self.depth = depth
        self.flownetc = FlowNetC(depth, width, reach)
        self.flownets_1 = FlowNetS(depth, width, inputs=12)
        self.flownets_2 = FlowNetS(depth, width, inputs=12)
        self.flownets_d = FlowNetSD(depth, width)
        self.flownetfusion = Fusion(width)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the flow from the first image to the second.

        first, second: (b, 3, h, w) RGB in [0, 1]
        returns: (b, 2, h, w) pixels to the right and down
        """
        height, width = first.shape[2:]
        one, two = without_mean(*(resize_to_multiple(image, 2**self.depth) for image in (first, second)))
        both = torch.cat([one, two], 1)
        flow = _lifted(self.flownetc.flows(both)[0] * FLOW_SCALE, "bilinear")
        flow = _lifted(self.flownets_1.flows(_explained(one, two, flow))[0] * FLOW_SCALE, "bilinear")
        large = _lifted(self.flownets_2.flows(_explained(one, two, flow))[0] * FLOW_SCALE, "nearest")
        # the published network for small motion gives pixels times 20, where the others divide by it
        small = _lifted(self.flownets_d.flows(both)[0] / FLOW_SCALE, "nearest")
        lengths = [_length(flow) for flow in (small, large)]
        left = [_length(one - warp(two, flow, "border")) for flow in (small, large)]
        flow = self.flownetfusion(torch.cat([one, small, large, *lengths, *left], 1))
        return flow if flow.shape[2:] == (height, width) else resize_flow(flow, height, width)


def _lifted(flow: Tensor, mode: str) -> Tensor:
    return F.interpolate(flow, scale_factor=4, mode=mode)


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True)


def _explained(one: Tensor, two: Tensor, flow: Tensor) -> Tensor:
    """Return both images, the second one warped, the flow, and what it leaves unexplained: 12 channels."""
    warped = warp(two, flow, "border")
    return torch.cat([one, two, warped, flow / FLOW_SCALE, _length(one - warped)], 1)
