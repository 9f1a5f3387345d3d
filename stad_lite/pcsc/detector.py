"""The detector of one stage: RoI features, detection head, labels, losses, boxes.

Regions of a batch of frames are flat here: ``boxes`` (r, 4) with ``item`` (r,), the frame of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.align import roi_align
from stad_lite.arrays import marked, readable
from stad_lite.errors import FormatError
from stad_lite.matching import IGNORED
from stad_lite.nets.losses import smooth_l1
from stad_lite.nets.proposals import Proposals
from stad_lite.nets.rpn import sample_anchors
from stad_lite.pcsc.cooperation import Detections
from stad_lite.systems.truth import TrueBoxes
from stad_lite.tables import by_number, read_boxes
from stad_lite.training.counts import normaliser

CODER = (10.0, 10.0, 5.0, 5.0)
"""Factors on the offsets that a head learns (Fast R-CNN practice; the paper does not say)."""


class Targets(NamedTuple):
    """What each proposal should be.

    labels: (b, n) 0 for background, class index + 1 for a positive, -1 for one that does not count
    boxes: (b, n, 4) xyxy pixels, the true box of each positive
    """

    labels: Tensor
    boxes: Tensor


class RegionHead(nn.Module):
    """Two fully connected layers, then class scores and an offset for each class.

    channels, size: RoI features are (channels, size, size)
    hidden: width of both layers
    classes: without the background
    Source: PCSC Sec. 3.1 ("a standard one"): Feature Pyramid Networks Sec. 4.2.

    >>> logits, offsets, hidden = RegionHead(8, size=3, hidden=16, classes=6)(torch.zeros(5, 8, 3, 3))
    >>> logits.shape, offsets.shape, hidden.shape
    (torch.Size([5, 7]), torch.Size([5, 6, 4]), torch.Size([5, 16]))
    """

    def __init__(self, channels: int, size: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * size * size, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.scores = nn.Linear(hidden, classes + 1)
        self.offsets = nn.Linear(hidden, classes * 4)
        # Fast R-CNN Sec. 2.3: all classes are alike at first, and boxes stay where the proposals are
        for layer, std in ((self.scores, 0.01), (self.offsets, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def hidden(self, features: Tensor) -> Tensor:
        """Return what scores and offsets are read from: (r, hidden) of features (r, channels, size, size)."""
        return F.relu(self.second(F.relu(self.first(features.flatten(1)))))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (r, 1 + classes), background first; offsets (r, classes, 4); hidden (r, hidden)."""
        hidden = self.hidden(features)
        offsets = rearrange(self.offsets(hidden), "r (k xyxy) -> r k xyxy", xyxy=4)
        return self.scores(hidden), offsets, hidden


def level_of(boxes: Tensor, levels: int, canonical: float) -> Tensor:
    """Return the pyramid level that each box is cut from: one coarser for every doubling of its side.

    boxes: (r, 4) xyxy pixels
    canonical: boxes of this side and up to twice it belong to level 1 (112 in the paper this follows)
    returns: (r,) from 0, the finest, to ``levels`` - 1
    Source: Feature Pyramid Networks Eq. 1.

    >>> boxes = torch.tensor([[0., 0., 20., 20.], [0., 0., 112., 112.], [0., 0., 900., 900.]])
    >>> level_of(boxes, 4, 112).tolist()
    [0, 1, 3]
    """
    # a box without extent, whose logarithm is not finite, goes to the finest level
    side = box_ops.area(boxes).sqrt()
    return (1 + (side / canonical).clamp(min=1e-6).log2().floor()).clamp(0, levels - 1).long()


def pool(
    levels: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    item: Tensor,
    size: int,
    canonical: float,
    samples: int = 2,
) -> Tensor:
    """Cut regions out of a pyramid, each from the level that fits its size.

    levels: (b, c, h, w) a level, finest first, with ``strides`` pixels per cell
    boxes: (r, 4) xyxy pixels
    item: (r,) which of the b frames
    size, canonical, samples: bins a side; as in ``level_of``; as in ``align.roi_align``
    returns: (r, c, size, size)
    Source: PCSC Sec. 3.3 (RoI pooling from the image-level features).
    """
    of = level_of(boxes, len(levels), canonical)
    if samples and not readable(boxes):
        return _pool_together(levels, strides, boxes, item, size, of, samples)
    order, parts = [], []
    for number, (maps, stride) in enumerate(zip(levels, strides, strict=True)):
        chosen = (of == number).nonzero()[:, 0]
        if len(chosen):
            order.append(chosen)
            parts.append(roi_align(maps, boxes[chosen], item[chosen], size, 1 / stride, samples))
    if not parts:
        return levels[0].new_zeros(0, levels[0].shape[1], size, size)
    return torch.cat(parts)[torch.cat(order).argsort()]


def _pool_together(
    levels: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    item: Tensor,
    size: int,
    of: Tensor,
    samples: int,
) -> Tensor:
    """Do what ``pool`` does, without a look at how many boxes each level has.

    of: (r,) level of each box
    """
    cells = [maps.shape[2] * maps.shape[3] for maps in levels]
    begins = [len(levels[0]) * sum(cells[:i]) for i in range(len(levels))]
    rows = (begins, cells, [maps.shape[2] for maps in levels], [maps.shape[3] for maps in levels])
    first, each, height, width = (by_number(of, values) for values in rows)
    scaled = boxes * by_number(of, [1 / stride for stride in strides])[:, None].to(boxes.dtype)
    table = torch.cat([rearrange(maps, "b c h w -> (b h w) c") for maps in levels])
    return read_boxes(table, scaled, first + item * each, (height, width), size, samples)


@torch.no_grad()
def label(proposals: Proposals, truth: TrueBoxes, overlap: float = 0.5) -> Targets:
    """Label proposals: positive where a true box overlaps by more than .5, else negative.

    The rule of PCSC Sec. 3.5, for the RPN's proposals and those of the other stream alike. The paper says
    nothing of .5 itself, which is negative here.
    """
    if not truth.boxes.shape[1]:
        labels = torch.where(proposals.valid, 0, IGNORED)
        return Targets(labels, torch.zeros_like(proposals.boxes))
    table = box_ops.pairwise_iou(proposals.boxes, truth.boxes)
    table = table.masked_fill(truth.labels[:, None] < 0, 0)
    best, nearest = table.max(2)
    # one threshold both ways (Sec. 3.5): no proposal is ignored
    labels = torch.where(best > overlap, truth.labels.gather(1, nearest) + 1, 0)
    labels = torch.where(proposals.valid, labels, IGNORED)
    place = nearest[..., None].expand(-1, -1, 4)
    return Targets(labels, truth.boxes.gather(1, place))


@torch.no_grad()
def sample(proposals: Proposals, targets: Targets, count: int, share: float) -> tuple[Proposals, Targets]:
    """Draw the proposals that a head is trained on: positives up to a share, negatives for the rest.

    count: proposals a frame, the least of this and what there is
    returns: both cut to (b, at most ``count``)
    Source: Fast R-CNN Sec. 2.3.
    """
    # torch's own: checkpoints keep its state, so a run that goes on draws what it would have drawn
    generator = torch.default_generator
    kinds = targets.labels.clamp(max=1)
    chosen = sample_anchors(kinds, count, share, generator)
    most = max(1, int(chosen.sum(1).max())) if readable(chosen) else min(count, chosen.shape[1])
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    place = order[..., None].expand(-1, -1, 4)
    kept = chosen.gather(1, order)
    drawn = Proposals(proposals.boxes.gather(1, place), proposals.scores.gather(1, order), kept)
    labels = targets.labels.gather(1, order).masked_fill(~kept, IGNORED)
    return drawn, Targets(labels, targets.boxes.gather(1, place))


def with_truth(proposals: Proposals, truth: TrueBoxes) -> Proposals:
    """Return the proposals and, beside them, the true boxes (Fast R-CNN practice in training)."""
    there = truth.labels >= 0
    return Proposals(
        torch.cat([proposals.boxes, truth.boxes], 1),
        torch.cat([proposals.scores, there.to(proposals.scores)], 1),
        torch.cat([proposals.valid, there], 1),
    )


def head_loss(
    logits: Tensor, offsets: Tensor, proposals: Proposals, targets: Targets
) -> tuple[Tensor, Tensor]:
    """Return the losses of classes and of the positives' offsets, both over the batch's proposals.

    logits: (b, n, 1 + classes)
    offsets: (b, n, classes, 4)
    returns: two scalars, 0 where there is no proposal
    Source: Fast R-CNN Eq. 1 (smooth L1 with beta 1).
    """
    counted, positive = targets.labels >= 0, targets.labels > 0
    # before anything that depends on what there is: all parts of a batch must ask alike
    number = normaliser(counted.sum())
    places, counts = marked(counted)
    labels = targets.labels[places].clamp(min=0)
    classes = F.cross_entropy(logits[places].float(), labels, reduction="none") * counts
    near = torch.where(positive[..., None], targets.boxes, proposals.boxes)
    places, there = marked(positive)
    own = offsets[places].gather(1, (targets.labels[places] - 1).clamp(min=0)[:, None, None].expand(-1, 1, 4))
    wanted = box_ops.encode(near[places], proposals.boxes[places]) * logits.new_tensor(CODER)
    boxes = smooth_l1(own[:, 0].float(), wanted.float(), 1.0, "none").sum(1) * there
    # over all drawn proposals too, as in Fast R-CNN's code: fewer positives do not count more each
    return classes.sum() / number, boxes.sum() / number


@torch.no_grad()
def detections(
    logits: Tensor, offsets: Tensor, proposals: Proposals, height: float, width: float
) -> Detections:
    """Return the boxes and probabilities that a head's raw outputs stand for.

    logits: (b, n, 1 + classes)
    offsets: (b, n, classes, 4)
    height, width: of the frame in pixels
    """
    offsets = offsets.float() / offsets.new_tensor(CODER, dtype=torch.float32)
    boxes = box_ops.clip(box_ops.decode(offsets, proposals.boxes[:, :, None]), width, height)
    return Detections(boxes, logits.float().softmax(-1)[..., 1:], proposals.valid)


def flat(boxes: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the item (r,) and the box (r, 4) of every place that holds one, of a table (b, n, 4).

    Where a look at ``valid`` (b, n) would wait for a GPU, all places are given.
    """
    if readable(valid):
        return valid.nonzero()[:, 0], boxes[valid]
    item = torch.arange(len(boxes), device=boxes.device)[:, None].expand(valid.shape)
    return item.flatten(), boxes.flatten(0, 1)


def in_table(values: Tensor, valid: Tensor) -> Tensor:
    """Return flat values (r, ...) in a padded table (b, n, ...) with zeros where ``valid`` (b, n) is False.

    values: of the places that ``flat`` gives
    raises: FormatError where the two do not count the same
    """
    if not readable(valid):
        table = values.unflatten(0, valid.shape)
        return table.masked_fill(~valid[(..., *[None] * (table.ndim - 2))], 0)
    if int(valid.sum()) != len(values):
        raise FormatError(f"{len(values)} values for {int(valid.sum())} places", remedy="give one a place")
    table = values.new_zeros(*valid.shape, *values.shape[1:])
    table[valid] = values
    return table
