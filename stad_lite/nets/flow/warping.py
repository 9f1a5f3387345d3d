"""What the flow networks share: warping, resizing of flow, end-point error."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def warp(maps: Tensor, flow: Tensor, outside: str = "zeros") -> Tensor:
    """Return maps looked up where the flow points: the second image's content at the first one's places.

    maps: (b, c, h, w)
    flow: (b, 2, h, w) cells to the right and down
    outside: what lies beyond the edge: ``zeros``, or ``border`` repeats the last cell
    returns: (b, c, h, w)

    >>> ramp = torch.arange(4.0).expand(1, 1, 2, 4)
    >>> warp(ramp, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 4))[0, 0, 0]
    tensor([1., 2., 3., 0.])
    """
    height, width = maps.shape[2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return F.grid_sample(maps, grid.to(maps.dtype), padding_mode=outside, align_corners=True)


def resize_flow(flow: Tensor, height: int, width: int, align_corners: bool = False) -> Tensor:
    """Return the flow of an image resized to (height, width): resampled, and its vectors scaled with it.

    flow: (b, 2, h, w) pixels

    >>> resize_flow(torch.ones(1, 2, 2, 2), 4, 8)[0, :, 0, 0]
    tensor([4., 2.])
    """
    scale = flow.new_tensor([width / flow.shape[3], height / flow.shape[2]])
    flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=align_corners)
    return flow * rearrange(scale, "c -> c 1 1")


def resize_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Return images (b, c, h, w) with both sides rounded up to a multiple."""
    height, width = (-(-side // multiple) * multiple for side in images.shape[2:])
    if (height, width) == tuple(images.shape[2:]):
        return images
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)


def to_image_size(coarse: Tensor, height: int, width: int) -> Tensor:
    """Return flow that a network gave at a quarter of its input's size at an image's own size.

    coarse: (b, 2, h', w') pixels of the network's input, which is 4 h' x 4 w'
    returns: (b, 2, height, width) pixels of the image
    """
    flow = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
    return flow if flow.shape[2:] == (height, width) else resize_flow(flow, height, width)
