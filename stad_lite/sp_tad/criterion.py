"""Set prediction loss: who answers for which truth, and what every answer costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stad_lite import segments as segment_ops
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.matching import Matching, hungarian
from stad_lite.nets.losses import binary_cross_entropy, segment_giou, sigmoid_focal
from stad_lite.sp_tad.config import Loss
from stad_lite.sp_tad.model import Outputs
from stad_lite.systems.items import padded
from stad_lite.training.counts import normaliser

# Sparse R-CNN's; a sigmoid that reaches 0 or 1 in float32 would cost infinitely much
EPSILON = 1e-8


class Instances(NamedTuple):
    """The instances of a batch of windows, filled up to as many in each.

    segments: (b, g, 2) start and end in windows
    labels: (b, g) class indices
    counts: how many of the g are real
    """

    segments: Tensor
    labels: Tensor
    counts: Sequence[int]


def matching_cost(logits: Tensor, segments: Tensor, truth: Instances, config: Loss) -> Tensor:
    """Return what it costs that a proposal answers for a truth.

    The class costs what the focal loss would gain by calling the proposal positive.

    logits: (..., b, n, classes)
    segments: (..., b, n, 2) start and end in windows
    returns: (..., b, n, g)
    Source: SP-TAD Sec. 3.2.1; the focal cost and its weights are Sparse R-CNN's.
    """
    score = logits.sigmoid()
    positive = config.alpha * (1 - score) ** config.gamma * -(score + EPSILON).log()
    negative = (1 - config.alpha) * score**config.gamma * -(1 - score + EPSILON).log()
    labels = truth.labels[:, None, :].expand(*score.shape[:-1], -1)
    by_class = (positive - negative).gather(-1, labels)
    # on start and end, as Eq. 3 has it; TadTR compares centre and length
    apart = (segments[..., :, None, :] - truth.segments[:, None]).abs().sum(-1)
    overlap = segment_ops.giou(segments[..., :, None, :], truth.segments[:, None])
    return config.cls_cost * by_class + config.l1_cost * apart - config.giou_cost * overlap


@torch.no_grad()
def match(outputs: Outputs, truth: Instances, config: Loss) -> list[Matching]:
    """Return the matching of every head, all windows and heads solved in one go.

    raises: NotFiniteError with the window's place in the batch
    """
    heads, size = outputs.logits.shape[:2]
    cost = matching_cost(outputs.logits.float(), outputs.segments.float(), truth, config)
    try:
        found = hungarian(cost.flatten(0, 1), list(truth.counts) * heads)
    except NotFiniteError:
        bad = [i for i in range(size) if not torch.isfinite(cost[:, i, :, : truth.counts[i]]).all()]
        raise NotFiniteError(
            f"the predictions of window {bad[0] if bad else 0} of the batch are not finite",
            remedy="look for NaN among its features, or lower the learning rate",
        ) from None
    # as many pairs for every head: of each window as it has truths, or proposals where these are fewer
    item, proposal, index = (part.reshape(heads, len(part) // heads) for part in found)
    return [Matching(*rows) for rows in zip(item % size, proposal, index, strict=True)]


def set_loss(
    outputs: Outputs, truth: Instances, config: Loss, matches: Sequence[Matching] | None = None
) -> dict[str, Tensor]:
    """Return the weighted terms of the loss, each summed over the heads.

    All but the clip head's are divided by the number of truths in the batch (at least 1), over all its parts.

    matches: of every head; computed where not given
    returns: ``cls``, ``l1``, ``giou`` and, with a clip head, ``clip``
    Source: SP-TAD Eq. 2 and 3, with the auxiliary losses of Sec. 3.1.3.
    """
    # in bfloat16 boundaries near a window's end would lie on a grid of 1/256 of it: a frame on THUMOS14
    outputs = outputs._replace(logits=outputs.logits.float(), segments=outputs.segments.float())
    matches = match(outputs, truth, config) if matches is None else matches
    # N_pos of Eq. 3: each truth has one proposal in every head, so truths are counted (as in DETR)
    number = normaliser(outputs.segments.new_tensor(sum(truth.counts)))
    head = torch.cat([torch.full_like(found.item, h) for h, found in enumerate(matches)])
    item, proposal, index = (torch.cat(column) for column in zip(*matches, strict=True))
    labels, wanted = truth.labels[item, index], truth.segments[item, index]
    targets = torch.zeros_like(outputs.logits)
    targets[head, item, proposal, labels] = 1
    focal = sigmoid_focal(outputs.logits, targets, config.alpha, config.gamma, "sum")
    found = outputs.segments[head, item, proposal]
    terms = {
        "cls": config.cls_weight * focal / number,
        "l1": config.l1_weight * (found - wanted).abs().sum() / number,
        "giou": config.giou_weight * segment_giou(found, wanted) / number,
    }
    if outputs.clip is not None:
        # a plain mean: every window has as many classes, and no count differs from part to part
        present = clip_targets(truth, outputs.clip.shape[1])
        terms["clip"] = config.clip_weight * binary_cross_entropy(outputs.clip, present)
    return terms


def clip_targets(truth: Instances, num_classes: int) -> Tensor:
    """Return which classes occur in each window: (b, classes) of 0 and 1 (SP-TAD Sec. 3.1.4)."""
    present = torch.zeros(len(truth.counts), num_classes, device=truth.labels.device)
    for row, labels, count in zip(present, truth.labels, truth.counts, strict=True):
        row[labels[:count]] = 1
    return present


def make_truth(segments: Sequence[Tensor], labels: Sequence[Tensor]) -> Instances:
    """Return the instances of some windows as one batch.

    segments: of each window (g, 2) start and end in windows
    labels: of each window (g,)
    raises: FormatError where a window has no one label for each segment

    >>> one, none = torch.tensor([[0.1, 0.4]]), torch.zeros(0, 2)
    >>> make_truth([one, none], [torch.tensor([2]), torch.tensor([])]).counts
    (1, 0)
    """
    counts = tuple(len(each) for each in segments)
    if counts != tuple(len(each) for each in labels):
        raise FormatError("a window has not one label for each segment", remedy="give both lists alike")
    if not counts:
        return Instances(torch.zeros(0, 0, 2), torch.zeros(0, 0, dtype=torch.long), counts)
    return Instances(padded(segments), padded([each.long() for each in labels]), counts)
