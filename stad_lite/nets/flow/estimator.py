"""All flow networks under one call: two images of any size to pixels at that size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.arrays import as_numpy
from stad_lite.nets.flow import flownet, pwcnet
from stad_lite.nets.flow.warping import resize_flow


def flow_between(
    net: nn.Module, first: Tensor, second: Tensor, size: tuple[int, int] | None = None
) -> Tensor:
    """Return the flow from one image to another at their own size.

    net: a PWCNet, FlowNetS, FlowNet2 or SPyNet
    first, second: (b, 3, h, w) RGB in [0, 1]
    size: (height, width) at which the network sees them, None for their own; the flow sub-network shows its
        frames at 320 x 320 (Sec. 3.1)
    returns: (b, 2, h, w) pixels to the right and down

    >>> net = pwcnet.small_pwcnet()
    >>> flow_between(net, torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40), (64, 64)).shape
    torch.Size([1, 2, 30, 40])
    """
    height, width = first.shape[2:]
    if size is not None:
        first, second = at_size(first, size), at_size(second, size)
    if isinstance(net, pwcnet.PWCNet):
        flow = pwcnet.estimate(net, first, second)
    elif isinstance(net, flownet.FlowNetS):
        flow = flownet.estimate(net, first, second)
    else:
        flow = net(first, second)
    return flow if size is None else resize_flow(flow, height, width)


def at_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images (b, c, h, w) resized to (height, width)."""
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def estimator(
    net: nn.Module, size: tuple[int, int] | None = None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a network as an estimator of ``stad_lite.data.flow``, without gradients.

    size: as in ``flow_between``
    returns: (h, w, 3) uint8 RGB twice -> (h, w, 2) float32 pixels
    """

    @torch.no_grad()
    def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        place = next(net.parameters()).device
        images = torch.from_numpy(np.stack([first, second])).to(place).permute(0, 3, 1, 2) / 255
        return as_numpy(flow_between(net, images[:1], images[1:], size)[0].permute(1, 2, 0))

    return between
