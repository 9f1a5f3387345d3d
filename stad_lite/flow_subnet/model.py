"""The whole network: frames k - 1, k, k + 1 to what each default box of frame k says (flow subnet Fig. 1).

    frames -> flow fields -> image of motion \\
    frame k -> image of appearance ----------- the same backbone -> fusion, scale by scale -> detection

network   ``FlowSubnetNetwork`` and its parts in ``motion``, ``detector``, ``fusion``
criterion ``criterion.losses``
decoding  ``decoding``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from stad_lite.anchors import default_boxes
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.detector import DetectionHead, backbone_of
from stad_lite.flow_subnet.fusion import fusion_block
from stad_lite.flow_subnet.layout import box_layout
from stad_lite.flow_subnet.motion import MotionNetwork, pair_places, paired
from stad_lite.nets.inputs import PIXELS
from stad_lite.systems.seen import pixels


class Said(NamedTuple):
    """What the network says of t frames of each of b sequences.

    scores: (b, t, n, 1 + classes) of all default boxes, background first
    offsets: (b, t, n, 4) from the default boxes
    flows: levels (b * pairs, 2, h', w') of the flow network, finest first; none where it is not asked
    taught: (b * pairs, 2, h, w) the teacher's flow, pixels of the flow network's input
    """

    scores: Tensor
    offsets: Tensor
    flows: list[Tensor]
    taught: Tensor | None


class FlowSubnetNetwork(nn.Module):
    """All parts; nothing in ``forward`` waits for the device or depends on what the frames show.

    classes: without background
    """

    boxes: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, config: FlowSubnetConfig, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        self.motion = MotionNetwork(config) if config.sees_motion else None
        self.backbone = backbone_of(config)
        channels, layout = self.backbone.channels, box_layout(config)
        self.fusion = fusion_block(config, channels)
        separate = config.convolutions == "separate"
        self.fusion_of_boxes = fusion_block(config, channels) if separate else None
        self.head = DetectionHead(channels, layout.per_cell, classes)
        pixels = PIXELS[config.normalise]
        for name, value in (
            ("boxes", torch.as_tensor(default_boxes(layout), dtype=torch.float32)),
            ("mean", torch.tensor(pixels.mean).view(3, 1, 1) / 255),
            ("factor", torch.tensor(pixels.scale).view(3, 1, 1) * 255),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, frames: Tensor, given: Tensor | None = None, frozen: bool = False) -> Said:
        """Return what is said of all frames of sequences but their first and last.

        frames: (b, t + 2, 3, h, w) RGB from 0 to 255
        given: (b, t + 1, 2, h, w) pixels, the flow to the next frame, for the estimator ``given``
        frozen: the flow network takes no gradient
        """
        images = frames.float() / 255
        middle = rearrange(images[:, 1:-1], "b t c h w -> (b t) c h w")
        motion: Tensor | None = None
        flows: list[Tensor] = []
        taught = None
        if self.motion is not None:
            fields, flows, taught = self._fields(self.motion, images, given, frozen)
            motion = self.motion.image(rearrange(fields, "b t c h w -> (b t) c h w"))
        scores, offsets = self.head(*self.fused(*self.maps(self.appearance(middle), motion)))
        t = images.shape[1] - 2
        return Said(scores.unflatten(0, (-1, t)), offsets.unflatten(0, (-1, t)), flows, taught)

    def appearance(self, images: Tensor) -> Tensor:
        """Return images (n, 3, h, w) RGB in [0, 1] as the backbone is fed."""
        ordered = images.flip(1) if PIXELS[self.config.normalise].order == "bgr" else images
        return (ordered - self.mean) * self.factor

    def maps(self, appearance: Tensor, motion: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the backbone's maps of both images, finest first; both go through the same weights.

        In training they pass one after the other, so that batch norms see one kind of image at a time.
        """
        if motion is None or self.config.fusion == "motion":
            only = self.backbone(appearance if motion is None else motion)
            return only, only
        if self.training:
            return self.backbone(appearance), self.backbone(motion)
        both = [maps.chunk(2) for maps in self.backbone(torch.cat([appearance, motion]))]
        return [maps[0] for maps in both], [maps[1] for maps in both]

    def fused(
        self, appearance: Sequence[Tensor], motion: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the fused maps that scores and offsets are read from."""
        found = self.fusion(appearance, motion)
        own = self.fusion_of_boxes
        return found, found if own is None else own(appearance, motion)

    def _fields(
        self, motion: MotionNetwork, images: Tensor, given: Tensor | None, frozen: bool
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """The fields (b, t, 2 a field, h, w) of all frames but first and last; ``flows`` and ``taught``."""
        count, size = images.shape[1], (images.shape[3], images.shape[4])
        places = pair_places(self.config.pairs)
        flows: list[Tensor] = []
        taught = None
        if motion.net is None:
            assert given is not None, "the estimator given needs flow"
            fields = given[:, places[0].start :]
        else:
            flat = rearrange(images, "b s c h w -> (b s) c h w")
            with torch.no_grad() if frozen else nullcontext():
                features = motion.features(flat)
                flows = motion.between(*(paired(features, place, count) for place in places))
                fields = motion.field(flows[0], size).unflatten(0, (len(images), -1))
            taught = None if frozen or not self.training else motion.taught(flat, places, count)
        if self.config.pairs == "two":
            fields = torch.cat([fields[:, :-1], fields[:, 1:]], 2)
        return fields, flows, taught


def pixels_of(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a batch's ``frames`` (b, 3, 3, h, w) from 0 to 255, ``flow`` (b, 2, 2, h, w) if any."""
    streams = {"frames": "rgb", "flow": "flow"}
    return {name: pixels(batch[name], stream) for name, stream in streams.items() if name in batch}
