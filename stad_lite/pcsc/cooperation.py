"""Cooperation of proposals: which boxes a stream looks at in each stage, and what the stages find together.

Stage 0 is each stream by itself, on the proposals of its own RPN. Then the streams take turns: at odd
stages flow helps RGB, at even ones RGB helps flow. A stream's proposals are its own latest boxes together
with the other's latest boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.nets.proposals import Output, Proposals, best_by_class, suppress

STREAMS = ("rgb", "flow")


class Detections(NamedTuple):
    """What a detection head makes of n proposals.

    boxes: (b, n, classes, 4) xyxy pixels, one for each class
    scores: (b, n, classes) probabilities
    valid: (b, n) bool
    """

    boxes: Tensor
    scores: Tensor
    valid: Tensor


def helper_of(stream: str) -> str:
    """Return the stream that helps a stream: the other one."""
    return STREAMS[1 - STREAMS.index(stream)]


def head_of(stream: str, stage: int) -> str:
    """Return the name of the head that finds a stream's boxes at a stage.

    >>> head_of("flow", 0), head_of("flow", 2)
    ('flow0', 'stage2')
    """
    return f"stage{stage}" if stage else f"{stream}0"


def latest(stream: str, stages: int) -> int:
    """Return the last of so many stages at which a stream is helped, 0 where there is none.

    >>> latest("rgb", 4), latest("flow", 4), latest("flow", 1)
    (3, 4, 0)
    """
    return max((stage for stage in range(1, stages + 1) if turn(stage).stream == stream), default=0)


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
    stream = STREAMS[1 - stage % 2]
    helper = helper_of(stream)
    # at stage 1 there is no stage -1; the paper does not say what stands in, stage 0 is our choice
    return Turn(stage, stream, helper, (stream, max(0, stage - 2)), (helper, stage - 1))


def least_sure(confidence: float, classes: int) -> float:
    """Return the probability that a stage's box needs in training to become a proposal.

    A head that knows nothing yet gives each of many classes less than ``confidence``; then no box would pass,
    and later stages would begin to learn on the true boxes alone. Half of that is enough where it is less.

    >>> least_sure(0.05, 6), least_sure(0.05, 24)
    (0.05, 0.02)
    """
    return min(confidence, 0.5 / (classes + 1))


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
    # clipping to the frame may leave nothing of a box, and no region can be cut from that
    extent = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    valid = found.valid & (scores > score) & extent
    return suppress(Proposals(boxes, scores, valid), threshold, keep)


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
    # of the other stream's boxes alone: a stream does not vote for itself
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
    boxes, scores, valid = (torch.cat(columns, 1) for columns in zip(*stages, strict=True))
    return best_by_class(boxes, scores, valid, score, threshold, keep, before)
