"""What is minimised: classes and offsets of default boxes, and the flow where it is known (Eq. 8).

Matching: a default box belongs to the true box that it overlaps most, where that is enough, and to the one
whose best it is. Offsets are divided by SSD's variances.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import marked
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.model import Said
from stad_lite.flow_subnet.motion import pair_places
from stad_lite.matching import POSITIVE, by_threshold
from stad_lite.nets.flow.pwcnet import multi_scale_loss
from stad_lite.nets.flow.warping import resize_flow
from stad_lite.nets.losses import hard_negatives, smooth_l1, softmax_focal
from stad_lite.systems.truth import TrueBoxes
from stad_lite.training.counts import normaliser

VARIANCES = (0.1, 0.1, 0.2, 0.2)
"""What offsets are divided by (SSD's code, as RFB Net takes it)."""


@torch.no_grad()
def assign(defaults: Tensor, truth: TrueBoxes, positive: float) -> tuple[Tensor, Tensor]:
    """Return the class and the true box of every default box.

    defaults: (n, 4) xyxy pixels
    truth: of b frames
    positive: IoU from which a default box stands for a true one
    returns: labels (b, n), 0 for background, and boxes (b, n, 4), of background any
    Source: SSD Sec. 2.2 (matching strategy).
    """
    labels, targets = [], []
    for boxes, classes in zip(*truth, strict=True):
        if not len(boxes):
            labels.append(torch.zeros_like(defaults[:, 0], dtype=torch.long))
            targets.append(defaults)
            continue
        known = classes >= 0
        # what only fills a table up is below every threshold
        overlaps = box_ops.pairwise_iou(defaults, boxes).masked_fill(~known, -1)
        found = by_threshold(overlaps, positive, positive, best_per_truth=True)
        labels.append((classes[found.truth] + 1) * (found.label == POSITIVE))
        targets.append(torch.where(known.any(), boxes[found.truth], defaults))
    return torch.stack(labels), torch.stack(targets)


def losses(
    said: Said, defaults: Tensor, truth: TrueBoxes, config: FlowSubnetConfig, flow: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the weighted terms ``class``, ``box``, and ``flow`` where the flow is held to something.

    said: of one frame of each of b sequences
    defaults: (n, 4) xyxy pixels
    truth: of these frames
    flow: (b, 2, 2, h, w) pixels of the frames: known flow from k - 1 and from k; None where it is not
    """
    scores, offsets = said.scores.flatten(0, 1), said.offsets.flatten(0, 1)
    labels, targets = assign(defaults, truth, config.positive)
    positive = labels > 0
    number = normaliser(positive.sum())
    chosen = positive | hard_negatives(-scores.log_softmax(2)[..., 0], positive, config.negatives)
    gamma = config.gamma if config.classification == "focal" else 0.0
    places, counts = marked(chosen)
    classes = (_classification(scores[places], labels[places], gamma) * counts).sum()
    near = torch.where(positive[..., None], targets, defaults)
    wanted = box_ops.encode(near, defaults) / defaults.new_tensor(VARIANCES)
    places, counts = marked(positive)
    boxes = (smooth_l1(offsets[places], wanted[places], reduction="none").sum(1) * counts).sum()
    terms = {"class": config.class_weight * classes / number, "box": config.box_weight * boxes / number}
    target = flow_target(said, flow, config)
    if target is not None:
        terms["flow"] = config.flow_weight * multi_scale_loss(said.flows, target)
    return terms


def _classification(scores: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Softmax cross entropy of each row; with a gamma the focal loss, the published code's."""
    if not gamma:
        return F.cross_entropy(scores, labels, reduction="none")
    return softmax_focal(scores, labels, gamma, "none")


def flow_target(said: Said, flow: Tensor | None, config: FlowSubnetConfig) -> Tensor | None:
    """Return what the flow network's levels are held to, None where there is nothing (``supervision``).

    returns: (b * pairs, 2, h, w) pixels of the flow network's input
    """
    if not said.flows or not said.flows[0].requires_grad or not (config.flow_weight and config.learns_flow):
        return None
    if config.supervision == "teacher":
        return said.taught
    if flow is None:
        return None
    # one pair is that of the later frame
    start = pair_places("two" if len(said.flows[0]) == 2 * len(flow) else "one")[0].start
    known = rearrange(flow[:, start:], "b pairs c h w -> (b pairs) c h w")
    height, width = (4 * side for side in said.flows[0].shape[2:])
    return resize_flow(known, height, width)
