"""Motion: frames in pairs to flow fields, the fields of a frame to an image (flow subnet Sec. 3.1, 3.2).

A frame's features for the flow network are computed once and kept for the next pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.flow_subnet.config import FlowSubnetConfig, Motion
from stad_lite.nets.flow import pwcnet
from stad_lite.nets.flow.estimator import at_size
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.inputs import PIXELS

Features = Sequence[Tensor]
"""What a flow network keeps of an image: PWC-Net its pyramid, the others the image itself."""


def flow_network(config: Motion) -> Any:
    """Return a new network of the kind that the settings name, None for flow that is given."""
    depth, width = config.flow_depth, config.flow_width
    if config.estimator == "pwcnet":
        net = PWCNet(depth, width, config.flow_reach, config.normalised)
        if config.normalised:  # as ``pwcnet.small_pwcnet`` begins
            with torch.no_grad():
                for name in (*(f"predict_flow{level}" for level in range(depth, 1, -1)), "dc_conv7"):
                    net.get_parameter(f"{name}.weight").mul_(0.01)
        return net
    kinds = {"flownets": FlowNetS, "flownet2": FlowNet2, "spynet": SPyNet}
    return kinds[config.estimator](depth, width) if config.estimator in kinds else None


class MotionNetwork(nn.Module):
    """Flow network and the convolution that makes an image of its fields.

    ``teacher`` is a copy of the flow network that stays as it began, where the flow is held to it.
    """

    def __init__(self, config: FlowSubnetConfig) -> None:
        super().__init__()
        self.config = config
        self.net = flow_network(config)
        self.teacher = None
        if config.supervision == "teacher" and config.learns_flow:
            self.teacher = deepcopy(self.net).requires_grad_(False)
        # W x H x (2 a field) to W x H x 3 (Fig. 2), so that the backbone of RGB can look at it
        self.encoder = nn.Conv2d(2 * config.fields, 3, 1)
        self.norm = nn.BatchNorm2d(3) if config.encoder == "norm" else None
        self.scale = PIXELS[config.normalise].half / config.flow_scale

    @property
    def multiple(self) -> int:
        """What the sides of the flow network's input are multiples of (64 for PWC-Net, Sec. 3.1)."""
        depth = self.config.flow_depth
        return 2 ** (depth - 1) if self.config.estimator == "spynet" else 2**depth

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which the flow network sees frames of a size."""
        sides = (-(-side * self.config.enlarged // self.multiple) * self.multiple for side in (height, width))
        return next(sides), next(sides)

    def features(self, images: Tensor, net: Any = None) -> list[Tensor]:
        """Return what the flow network needs of images (n, 3, h, w) RGB in [0, 1], whatever their pairs.

        net: another network than its own
        """
        size = self.input_size(images.shape[2], images.shape[3])
        images = images if size == tuple(images.shape[2:]) else at_size(images, size)
        if self.config.estimator == "pwcnet":
            found: list[Tensor] = (net or self.net).pyramid(images.flip(1))  # it was published for blue first
            return found
        return [images]

    def between(self, first: Features, second: Features, net: Any = None) -> list[Tensor]:
        """Return the flow (n, 2, h', w') from some images to others, all its levels, in the network's unit.

        first, second: ``features`` of n images each
        """
        net = net or self.net
        if self.config.estimator == "pwcnet":
            found: list[Tensor] = net.match(first, second)
        elif self.config.estimator == "flownets":
            found = net(first[0], second[0])
        else:
            found = [net(first[0], second[0])]
        return found

    def field(self, flow: Tensor, size: tuple[int, int]) -> Tensor:
        """Return a flow's finest level at the frames' size, in their pixels.

        flow: (n, 2, h', w') of ``between``
        size: (height, width)
        returns: (n, 2, height, width)
        """
        levels = self.config.learns_flow
        unit, shrunk = (pwcnet.FLOW_SCALE, 4) if levels else (1.0, 1)
        field = F.interpolate(flow * unit, size=size, mode="bilinear", align_corners=False)
        if self.config.vectors == "raw":  # the code keeps the pixels of the flow network's input
            return field
        rows, columns = (size[axis] / (shrunk * flow.shape[2 + axis]) for axis in (0, 1))
        return torch.stack([field[:, 0] * columns, field[:, 1] * rows], 1)

    def image(self, fields: Tensor) -> Tensor:
        """Return fields of frames (n, 2 a field, h, w) in pixels as images (n, 3, h, w) for the backbone."""
        found: Tensor = self.encoder(fields * self.scale)
        return found if self.norm is None else F.relu(self.norm(found))

    def taught(self, images: Tensor, places: tuple[slice, slice], count: int) -> Tensor | None:
        """Return what the teacher says of the same pairs, in pixels of the flow network's input.

        images: (b * count, 3, h, w) of sequences of so many frames
        places: first and second frames of the pairs
        returns: (b * pairs, 2, h', w')
        """
        if self.teacher is None:
            return None
        with torch.no_grad():
            features = self.features(images, self.teacher)
            first, second = (paired(features, place, count) for place in places)
            flow = self.between(first, second, self.teacher)[0]
            return F.interpolate(flow * pwcnet.FLOW_SCALE, scale_factor=4, mode="bilinear")

    def reset_teacher(self) -> None:
        """Let the teacher know what the flow network knows now."""
        if self.teacher is not None:
            self.teacher.load_state_dict(self.net.state_dict())


def pair_places(pairs: str) -> tuple[slice, slice]:
    """Return the first and the second frames of the pairs of a sequence that begins at frame k - 1.

    pairs: ``two``, ``one`` or ``released`` (``config.Motion``)

    >>> ["abc"[place] for pairs in ("two", "one", "released") for place in pair_places(pairs)]
    ['ab', 'bc', 'b', 'c', 'a', 'c']
    """
    if pairs == "released":
        return slice(0, -2), slice(2, None)
    start = 0 if pairs == "two" else 1
    return slice(start, -1), slice(start + 1, None)


def paired(features: Features, place: slice, count: int) -> list[Tensor]:
    """Return the features of some frames of every sequence: (b * count, ...) to (b * pairs, ...)."""
    return [maps.unflatten(0, (-1, count))[:, place].flatten(0, 1) for maps in features]
