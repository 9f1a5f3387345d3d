"""Losses of the five systems, on the house's boxes and segments.

Each takes ``reduction``: ``none`` (one value an element), ``sum`` or ``mean``; what a paper divides by
(positives, ground truths) it does itself.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stad_lite import boxes, segments
from stad_lite.errors import FormatError

Reduction = Literal["none", "sum", "mean"]


def _reduced(loss: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("none", "sum", "mean"):
        raise FormatError(f"no reduction {reduction!r}", remedy="use none, sum or mean")
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" or loss.numel() == 0 else loss.mean()


def binary_cross_entropy(logits: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return -log p for 1, -log(1 - p) for 0; 0 (not NaN) over nothing.

    logits, targets: (...), targets in [0, 1]
    Source: the key timestamps' labels of CFAD Sec. 3.3, SP-TAD's clip classes, PCSC's actionness.
    """
    loss = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return _reduced(loss, reduction)


def sigmoid_focal(
    logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0, reduction: Reduction = "mean"
) -> Tensor:
    """Return the focal loss of independent classes: what is easy hardly counts.

    logits, targets: (...), targets 0 or 1
    alpha: weight of the positives, 1 - alpha of the negatives; below 0 weighs none
    Source: Lin et al., Focal Loss, Eq. 5; SP-TAD Eq. 2.

    >>> sigmoid_focal(torch.zeros(1), torch.ones(1)).round(decimals=4)  # .25 * .5^2 * log 2
    tensor(0.0433)
    """
    targets = targets.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    missed = targets * (1 - probability) + (1 - targets) * probability
    loss = missed**gamma * entropy
    if alpha >= 0:
        loss = loss * (targets * alpha + (1 - targets) * (1 - alpha))
    return _reduced(loss, reduction)


def softmax_focal(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, reduction: Reduction = "mean"
) -> Tensor:
    """Return the focal loss of exclusive classes; gamma 0 is the cross entropy.

    logits: (n, classes)
    labels: (n,) whole numbers
    Source: Lin et al., Focal Loss, Eq. 4, as the flow sub-network's code takes it.
    """
    log = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    return _reduced(-((1 - log.exp()) ** gamma) * log, reduction)


def smooth_l1(offsets: Tensor, targets: Tensor, beta: float = 1.0, reduction: Reduction = "sum") -> Tensor:
    """Return the squared error over 2 beta up to ``beta``, beyond it the distance less beta / 2.

    offsets, targets: (...)
    Source: Fast R-CNN Eq. 3 (beta 1).
    """
    return _reduced(F.smooth_l1_loss(offsets, targets, beta=beta, reduction="none"), reduction)


def box_giou(found: Tensor, targets: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Return 1 - GIoU box by box.

    found, targets: (n, 4) xyxy pixels
    Source: Rezatofighi et al., Generalized Intersection over Union, Sec. 3.2.
    """
    return _reduced(1 - boxes.giou(found, targets), reduction)


def segment_giou(found: Tensor, targets: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Return 1 - GIoU segment by segment.

    found, targets: (n, 2) start and end
    Source: SP-TAD Eq. 3.
    """
    return _reduced(1 - segments.giou(found, targets), reduction)


def hard_negatives(losses: Tensor, positive: Tensor, ratio: float = 3.0) -> Tensor:
    """Choose, image by image, the negatives with the highest loss: ``ratio`` for each positive.

    losses: (b, n) of every default box as background
    positive: (b, n) bool
    returns: (b, n) bool, none of them positive
    Source: SSD Sec. 2.2 (hard negative mining).

    >>> hard_negatives(torch.tensor([[5., 1., 3., 2.]]), torch.tensor([[True, False, False, False]]), ratio=2)
    tensor([[False, False,  True,  True]])
    """
    ranks = losses.detach().masked_fill(positive, -torch.inf).argsort(1, descending=True).argsort(1)
    wanted = torch.minimum(ratio * positive.sum(1), (~positive).sum(1))
    return ranks < wanted[:, None]
