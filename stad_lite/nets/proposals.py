"""Boxes of a batch of frames in padded tables: suppression, the best ones, region proposals, class by class.

All boxes of a batch stand in tables (b, n, ...) with a mask of those that are there, best first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import readable, settled
from stad_lite.errors import FormatError


class Proposals(NamedTuple):
    """Boxes of a batch of frames, best first.

    boxes: (b, n, 4) xyxy pixels
    scores: (b, n)
    valid: (b, n) bool, False where a frame has fewer
    """

    boxes: Tensor
    scores: Tensor
    valid: Tensor


class Output(NamedTuple):
    """The detections of a batch of frames.

    boxes: (b, classes, n, 4) xyxy pixels
    scores: (b, classes, n) falling
    valid: (b, classes, n) bool
    """

    boxes: Tensor
    scores: Tensor
    valid: Tensor


def survivors(boxes: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Tell which boxes survive greedy suppression, in many groups at once.

    A box goes when its overlap with a better one that stays is above the threshold. "Stays" is settled from
    the best box downwards, so a few rounds over whole tables reach what the loop over boxes reaches.

    boxes: (..., n, 4) xyxy pixels, best first in each group
    valid: (..., n) bool
    returns: (..., n) bool
    """
    most = valid.shape[-1]
    if readable(valid):  # most groups are far from full: no work beyond the last
        there = valid.nonzero()[:, -1]
        most = int(there.max()) + 1 if len(there) else 0
    boxes = boxes[..., :most, :]
    stays = settled(box_ops.pairwise_iou(boxes, boxes) > threshold, valid[..., :most])
    return F.pad(stays, (0, valid.shape[-1] - most))


def best(proposals: Proposals, keep: int) -> Proposals:
    """Return the ``keep`` best valid boxes of each frame, by falling score."""
    scores = proposals.scores.masked_fill(~proposals.valid, -torch.inf)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :keep]
    return Proposals(
        proposals.boxes.gather(1, repeat(order, "b n -> b n xyxy", xyxy=4)),
        proposals.scores.gather(1, order),
        proposals.valid.gather(1, order),
    )


def suppress(proposals: Proposals, threshold: float, keep: int) -> Proposals:
    """Return the best boxes of each frame after suppression, by falling score."""
    ordered = best(proposals, proposals.boxes.shape[1])
    return best(ordered._replace(valid=survivors(ordered.boxes, ordered.valid, threshold)), keep)


def join(*parts: Proposals) -> Proposals:
    """Return the proposals of several sources side by side (the union in P_t).

    raises: FormatError for parts of different batches
    """
    if len({part.boxes.shape[0] for part in parts}) != 1:
        raise FormatError("proposals of different batches", remedy="join boxes of the same frames")
    return Proposals(*(torch.cat(columns, 1) for columns in zip(*parts, strict=True)))


@torch.no_grad()
def region_proposals(
    scores: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    levels: Sequence[int],
    size: tuple[int, int],
    before: int,
    after: int,
    threshold: float,
    smallest: float = 1.0,
) -> Proposals:
    """Return the region proposals P_0 of one stream: what ``nets.rpn.propose`` gives, for a whole batch.

    scores: (b, a) logits
    offsets: (b, a, 4)
    anchors: (a, 4) xyxy pixels
    levels: anchors of each level; suppression does not cross levels
    size: (height, width) of the frame in pixels
    before, after: boxes kept of each level before suppression, and of the frame after it
    threshold: IoU above which the lower box goes
    smallest: side in pixels below which a box goes
    """
    kept, counts = [], list(levels)
    parts = zip(scores.split(counts, 1), offsets.split(counts, 1), anchors.split(counts), strict=True)
    for level_scores, level_offsets, level_anchors in parts:
        order = level_scores.argsort(dim=1, descending=True, stable=True)[:, :before]
        moved = level_offsets.gather(1, repeat(order, "b n -> b n xyxy", xyxy=4))
        boxes = box_ops.clip(box_ops.decode(moved, level_anchors[order]), size[1], size[0])
        large = ((boxes[..., 2:] - boxes[..., :2]) >= smallest).all(-1)
        found = Proposals(boxes, level_scores.gather(1, order), large)
        kept.append(found._replace(valid=survivors(boxes, large, threshold)))
    return best(join(*kept), after)


@torch.no_grad()
def best_by_class(
    boxes: Tensor, scores: Tensor, valid: Tensor, score: float, threshold: float, keep: int, before: int = 100
) -> Output:
    """Return the detections of a batch of frames that survive suppression within their class.

    boxes: (b, n, classes, 4) xyxy pixels, one for each class
    scores: (b, n, classes)
    valid: (b, n) bool
    score: boxes need a score above it
    threshold: of the suppression
    keep: boxes of a frame and class that stay; ``before``: that enter suppression
    """
    batch, _, classes = scores.shape
    table = rearrange(boxes, "b n k xyxy -> (b k) n xyxy")
    there = repeat(valid, "b n -> (b k) n", k=classes)
    rows = rearrange(scores, "b n k -> (b k) n")
    extent = (table[..., 2:] > table[..., :2]).all(-1)
    few = best(Proposals(table, rows, there & (rows > score) & extent), before)
    kept = suppress(few, threshold, keep)
    return Output(*(rearrange(x, "(b k) n ... -> b k n ...", b=batch) for x in kept))
