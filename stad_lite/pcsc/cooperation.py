"""Cooperation of proposals: which boxes a stream looks at in each stage, and what the stages find together.

Stage 0 is each stream by itself, on the proposals of its own RPN. Then the streams take turns: at odd
stages flow helps RGB, at even ones RGB helps flow. A stream's proposals are its own latest boxes together
with the other's latest boxes.

All boxes of a batch stand in padded tables: (b, n, ...) with a mask of those that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError

STREAMS = ("rgb", "flow")


class Proposals(NamedTuple):
    """Boxes of a batch of frames, best first.

    boxes: (b, n, 4) xyxy pixels
    scores: (b, n)
    valid: (b, n) bool, False where a frame has fewer
    """

    boxes: Tensor
    scores: Tensor
    valid: Tensor


class Detections(NamedTuple):
    """What a detection head makes of n proposals.

    boxes: (b, n, classes, 4) xyxy pixels, one for each class
    scores: (b, n, classes) probabilities
    valid: (b, n) bool
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


@dataclass(frozen=True)
class Turn:
    """One stage after stage 0.

    stage: 1, 2, ...
    stream: the one that is helped
    helper: the other one
    own: (stream, stage) of the stream's own boxes
    other: (stream, stage) of the boxes that the helper gives
    """

    stage: int
    stream: str
    helper: str
    own: tuple[str, int]
    other: tuple[str, int]


def turn(stage: int) -> Turn:
    """Return who helps whom in a stage, and with which boxes: P_t = own B_(t-2) and the other's B_(t-1).

    RGB's own boxes at stage 1 would be of stage -1; its boxes of stage 0 take that place.
    raises: FormatError for a stage below 1
    Source: PCSC Sec. 3.2, Fig. 1.

    >>> turn(1).own, turn(1).other
    (('rgb', 0), ('flow', 0))
    >>> turn(4).own, turn(4).other
    (('flow', 2), ('rgb', 3))
    """
    if stage < 1:
        raise FormatError(f"no stream is helped at stage {stage}", remedy="stages of cooperation start at 1")
    stream, helper = STREAMS if stage % 2 else STREAMS[::-1]
    return Turn(stage, stream, helper, (stream, max(0, stage - 2)), (helper, stage - 1))


def survivors(boxes: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Tell which boxes survive greedy suppression, in many groups at once.

    A box goes when its overlap with a better one that stays is above the threshold. "Stays" is settled from
    the best box downwards, so a few rounds over whole tables reach what the loop over boxes reaches.

    boxes: (..., n, 4) xyxy pixels, best first in each group
    valid: (..., n) bool
    returns: (..., n) bool
    """
    there = valid.nonzero()[:, -1]
    most = int(there.max()) + 1 if len(there) else 0  # most groups are far from full: no work beyond the last
    boxes, stays = boxes[..., :most, :], valid[..., :most]
    covers = (box_ops.pairwise_iou(boxes, boxes) > threshold).triu(diagonal=1)
    for _ in range(most):
        beaten = (covers & stays[..., :, None]).any(-2)
        before, stays = stays, valid[..., :most] & ~beaten
        if torch.equal(before, stays):
            break
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
def confident(found: Detections, score: float, threshold: float, keep: int) -> Proposals:
    """Return a stage's detection boxes as proposals: the box of each one's best class.

    score: boxes need a probability above it ("only bounding boxes with high confidence", PCSC Sec. 3.2)
    threshold: of the suppression over all classes; the lower one for the other stream's boxes
    keep: boxes a frame, the best ones
    """
    scores, label = found.scores.max(2)
    place = repeat(label, "b n -> b n 1 xyxy", xyxy=4)
    boxes = found.boxes.gather(2, place)[:, :, 0]
    extent = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    valid = found.valid & (scores > score) & extent
    return suppress(Proposals(boxes, scores, valid), threshold, keep)


def join(*parts: Proposals) -> Proposals:
    """Return the proposals of several sources side by side (the union in P_t).

    raises: FormatError for parts of different batches
    """
    if len({part.boxes.shape[0] for part in parts}) != 1:
        raise FormatError("proposals of different batches", remedy="join boxes of the same frames")
    return Proposals(*(torch.cat(columns, 1) for columns in zip(*parts, strict=True)))


@torch.no_grad()
def boost(stages: Sequence[Detections], streams: Sequence[str], overlap: float) -> list[Detections]:
    """Let the boxes of one stream vote for those of the other, class by class.

    A box's score becomes (s + o s') / 2 with s' the score of the other stream's box that overlaps it most, o
    the overlap; s' counts 0 where no box overlaps by ``overlap``. NMS alone takes the larger of two scores:
    that never joins what RGB knows of a box and what flow knows of it.

    stages, streams: the detections, and the stream that each belongs to
    raises: FormatError where the two do not count the same
    Source: Saha et al., Deep Learning for Detecting Multiple Space-Time Action Tubes in Videos, fusion of
        appearance and motion cues (their sum, halved so that it stays a probability).
    """
    if len(stages) != len(streams):
        raise FormatError(f"{len(stages)} stages of {len(streams)} streams", remedy="name the stream of each")
    counts = [found.scores.shape[1] for found in stages]
    if not sum(counts):
        return list(stages)
    boxes, scores, valid = (torch.cat(columns, 1) for columns in zip(*stages, strict=True))
    side = torch.tensor([STREAMS.index(stream) for stream in streams], device=boxes.device)
    side = side.repeat_interleave(torch.tensor(counts, device=boxes.device))
    table = rearrange(boxes, "b n k xyxy -> b k n xyxy")
    shared = box_ops.pairwise_iou(table, table) * (side[:, None] != side) * valid[:, None, None]
    most, place = shared.max(-1)
    votes = rearrange(scores, "b n k -> b k n")
    votes = (votes + torch.where(most >= overlap, most * votes.gather(2, place), 0)) / 2
    changed = rearrange(votes, "b k n -> b n k").split(counts, 1)
    return [found._replace(scores=one) for found, one in zip(stages, changed, strict=True)]


@torch.no_grad()
def union(
    stages: Sequence[Detections], score: float, threshold: float, keep: int, before: int = 100
) -> Output:
    """Return what some stages find together: all their boxes, class by class, after suppression.

    score: boxes need a probability above it
    threshold: of the suppression within each class
    keep: boxes of a frame and class that stay; ``before``: that enter suppression
    raises: FormatError for no stage
    Source: PCSC Sec. 4.3 (the output at a stage joins its boxes with those of all stages before).
    """
    if not stages:
        raise FormatError("there are no stages to join", remedy="give the detections of at least one")
    boxes = rearrange(torch.cat([s.boxes for s in stages], 1), "b n k xyxy -> (b k) n xyxy")
    scores = rearrange(torch.cat([s.scores for s in stages], 1), "b n k -> (b k) n")
    batch, classes = stages[0].scores.shape[0], stages[0].scores.shape[2]
    valid = repeat(torch.cat([s.valid for s in stages], 1), "b n -> (b k) n", k=classes)
    extent = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    few = best(Proposals(boxes, scores, valid & (scores > score) & extent), before)
    kept = suppress(few, threshold, keep)
    return Output(*(rearrange(x, "(b k) n ... -> b k n ...", b=batch) for x in kept))
