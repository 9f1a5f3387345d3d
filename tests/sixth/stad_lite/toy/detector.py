"""The paper itself: network, criterion and decoding of one box a frame."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.nets.vgg import VGG, small_vgg
from stad_lite.systems.truth import TrueBoxes
from stad_lite.toy.config import ToyConfig, ToyDecoding
from stad_lite.training.counts import normaliser


class ToyNetwork(nn.Module):
    """Frames (b, 3, h, w) -> logits (b, classes) and boxes (b, 4) xyxy pixels, float32."""

    def __init__(self, config: ToyConfig, classes: int) -> None:
        super().__init__()
        self.backbone = VGG() if config.backbone == "vgg16" else small_vgg(3, channels=(8, 8, 16))
        self.head = nn.Linear(list(self.backbone.channels.values())[-1], classes + 4)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        (maps,) = self.backbone(frames).values()
        said = self.head(maps.mean((-2, -1))).float()
        height, width = frames.shape[-2:]
        boxes = box_ops.cxcywh_to_xyxy(said[:, -4:].sigmoid()) * said.new_tensor([width, height] * 2)
        return said[:, :-4], boxes


def losses(logits: Tensor, boxes: Tensor, truth: TrueBoxes, config: ToyConfig) -> dict[str, Tensor]:
    """Return the weighted terms, means over the true boxes of the whole batch: ``class``, ``box``."""
    there = truth.labels >= 0
    number = normaliser(there.sum())
    said = logits[:, :, None].expand(-1, -1, there.shape[1])
    classes = F.cross_entropy(said, truth.labels, ignore_index=-1, reduction="sum") / number
    apart = (1 - box_ops.giou(boxes[:, None].expand_as(truth.boxes), truth.boxes)) * there
    return {"class": classes, "box": config.box_weight * apart.sum() / number}


def decode(
    logits: Tensor, boxes: Tensor, size: tuple[int, int], config: ToyDecoding
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return boxes, labels and scores of each frame: its box and best class, or nothing."""
    least = config.min_score
    score, label = logits.softmax(-1).max(-1)
    height, width = size
    found = zip(box_ops.clip(boxes, width, height), label, score, strict=True)
    return [(b[None][sure], k[None][sure], s[None][sure]) for b, k, s in found for sure in [s[None] >= least]]
