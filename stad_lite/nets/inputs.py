"""What networks are fed: RGB in the order, mean and scale that they were trained with, and flow beside it.

``weights.LAYOUTS`` says of every publication how its network was fed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """How pixels in 0..255 become an input: channels in an order, less a mean, times a scale.

    order: ``rgb`` or ``bgr``
    mean, scale: one a channel, in this order
    """

    order: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]

    @property
    def half(self) -> float:
        """What half of the range of pixels becomes (mean over channels), and flow of its scale too."""
        return 127.5 * sum(self.scale) / 3


PIXELS = {
    "unit": Pixels("rgb", (127.5, 127.5, 127.5), (1 / 127.5, 1 / 127.5, 1 / 127.5)),
    "bgr": Pixels("bgr", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
    "imagenet": Pixels("rgb", (123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),
    "rgb01": Pixels("rgb", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "bgr01": Pixels("bgr", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Name -> how a network is fed: ``unit`` in [-1, 1], as I3D and our small networks; ``bgr`` less Caffe's
mean, as the VGG16 of its authors; ``imagenet`` standardised over ImageNet, as torchvision's; the others
in [0, 1], as networks that estimate flow."""

FLOW_SCALE = 4.0
"""Pixels a frame that our small networks take for 1."""
FLOW_REACH = 20.0
"""Pixels a frame at which published flow is cut and which become 1 (Carreira and Zisserman, Sec. 2)."""


def rgb_input(frames: np.ndarray | Tensor, normalise: str = "unit") -> Tensor:
    """Return frames (..., h, w, 3) uint8 as (..., 3, h, w) float, in [-1, 1] or as another of ``PIXELS``.

    >>> rgb_input(np.full((2, 8, 8, 3), 255, np.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    values = _floats(frames)
    if normalise == "unit":
        return values.div_(127.5).sub_(1)
    pixels = PIXELS[normalise]
    values = values.flip(-3) if pixels.order == "bgr" else values
    rows = torch.tensor([pixels.mean, pixels.scale], device=values.device)
    mean, scale = rows[..., None, None]
    return values.sub_(mean).mul_(scale)


def flow_input(
    flow: np.ndarray | Tensor, scale: float = FLOW_SCALE, normalise: str = "unit", cut: bool = False
) -> Tensor:
    """Return flow (..., h, w, 2) in pixels a frame as (..., 2, h, w) float, at the scale of RGB beside it.

    scale: pixels a frame that become as much as half of the range of RGB (``Pixels.half``), 1 where RGB is in
        [-1, 1]; flow that is stored as an image has the same scale
    cut: what is larger becomes as much

    >>> flow = np.full((1, 1, 2), 8.0)
    >>> flow_input(flow, 4.0).flatten(), flow_input(flow, 4.0, "bgr", cut=True).flatten()
    (tensor([2., 2.]), tensor([127.5000, 127.5000]))
    """
    values = _floats(flow).div_(scale)
    values = values.clamp_(-1, 1) if cut else values
    return values if normalise == "unit" else values.mul_(PIXELS[normalise].half)


def _floats(values: np.ndarray | Tensor) -> Tensor:
    """(..., h, w, c) as (..., c, h, w) float32, a copy with the order in memory that it had."""
    return rearrange(torch.as_tensor(values), "... h w c -> ... c h w").to(torch.float32, copy=True)


def stacked(flow: Tensor, depth: int, gap: int = 1) -> Tensor:
    """Return every map with those before and after it as channels.

    flow: (..., t, c, h, w)
    depth, gap: how many maps, and how many frames from one to the next
    returns: (..., t - gap * (depth - 1), depth * c, h, w): the maps that have all their neighbours
    Source: ACT Sec. 4.1 stacks five consecutive maps.

    >>> stacked(torch.arange(6.0).reshape(6, 1, 1, 1), 3, gap=2).flatten(1).tolist()
    [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    """
    length = flow.shape[-4] - gap * (depth - 1)
    return torch.cat([flow.narrow(-4, k * gap, length) for k in range(depth)], -3)
